package plaintext

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxYAMLDepth is how deep YAML may be nested.
	maxYAMLDepth = 64
	// maxYAMLParse is the largest file that is parsed to be sure of its depth.
	maxYAMLParse = 1 << 20
)

// CheckYAML reports YAML that is nested too deep: whoever reads it would have to
// follow. Nothing else is asked of it, and files that are not YAML pass.
func CheckYAML(path, text string) error {
	if !isYAML(path) {
		return nil
	}
	depth := yamlDepthAtMost(text)
	if depth <= maxYAMLDepth {
		return nil
	}
	if len(text) <= maxYAMLParse {
		// Brackets in the text of a scalar nest nothing.
		var root yaml.Node
		if err := yaml.Unmarshal([]byte(text), &root); err == nil && yamlDepth(&root) <= maxYAMLDepth {
			return nil
		}
	}
	return fmt.Errorf("is YAML that is nested %d levels deep; the limit is %d", depth, maxYAMLDepth)
}

// yamlDepth is how many collections lie in one another. Aliases are not followed.
func yamlDepth(n *yaml.Node) int {
	deepest := 0
	for _, child := range n.Content {
		deepest = max(deepest, yamlDepth(child))
	}
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		deepest++
	}
	return deepest
}

// yamlDepthAtMost counts levels of indentation and brackets, without parsing:
// never less than there are in ordinary YAML, and more where scalars hold brackets.
func yamlDepthAtMost(text string) int {
	var scan yamlScan
	for line := range strings.Lines(text) {
		scan.line(strings.TrimRight(line, " \t\n"))
	}
	return scan.deepest
}

type yamlScan struct {
	// indents are those of the open levels, flow the open brackets.
	indents []int
	flow    int
	deepest int
}

func (s *yamlScan) line(line string) {
	content := strings.TrimLeft(line, " ")
	if content == "" || content[0] == '#' {
		return
	}
	at := len(line) - len(content)
	if s.flow == 0 {
		s.close(at)
		for {
			s.indents = append(s.indents, at)
			rest, found := strings.CutPrefix(content, "-")
			if !found || rest != "" && rest[0] != ' ' {
				break
			}
			content = strings.TrimLeft(rest, " ")
			at = len(line) - len(content)
			if content == "" {
				break
			}
		}
	}
	s.deepest = max(s.deepest, len(s.indents)+s.flow)
	s.brackets(content)
}

// close ends the levels that are not around a line with this indent.
func (s *yamlScan) close(at int) {
	for len(s.indents) > 0 && s.indents[len(s.indents)-1] >= at {
		s.indents = s.indents[:len(s.indents)-1]
	}
}

func (s *yamlScan) brackets(content string) {
	var quote byte
	for i := range len(content) {
		switch c := content[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" [{,:", content[i-1]) >= 0):
			quote = c
		case c == '[' || c == '{':
			s.flow++
			s.deepest = max(s.deepest, len(s.indents)+s.flow)
		case (c == ']' || c == '}') && s.flow > 0:
			s.flow--
		}
	}
}
