// Package governance decides whether a text may go out: a policy is a list of
// blocked terms, and a mode says what a hit means.
package governance

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The modes. In PUBLIC one hit blocks; in RAW hits are flagged and allowed.
const (
	ModePublic = "PUBLIC"
	ModeRaw    = "RAW"
)

const (
	// Version names the rules, so that a decision can be read later.
	Version = "blocked-terms-v1"
	// rule is the only one there is.
	rule = "blocked_terms"
	// maxHits bounds the hits that a trace lists; Total counts them all.
	maxHits = 200
)

// Limits of a list of terms.
const (
	MaxTerms = 100
	MaxTerm  = 100
)

// Hit is one place where a term stands. Start and End count characters.
type Hit struct {
	Term        string `json:"term"`
	Start       int    `json:"start"`
	End         int    `json:"end"`
	MatchedText string `json:"matched_text"`
	Rule        string `json:"rule"`
	Mode        string `json:"mode"`
}

// Trace says how a decision came about.
type Trace struct {
	Mode               string `json:"mode"`
	PolicyVersion      string `json:"policy_version"`
	HardBlockThreshold int    `json:"hard_block_threshold"`
	// Hits are the first ones, in the order of the text; HitCount counts all.
	Hits           []Hit  `json:"hits"`
	HitCount       int    `json:"hit_count"`
	ModeRationale  string `json:"mode_rationale"`
	RedactionStyle string `json:"redaction_style"`
	Allow          bool   `json:"allow"`
}

// Decision is what a policy says of a text.
type Decision struct {
	Allow bool
	// PolicyHits are the terms that were found, each once; Redactions what was
	// found, as it should be shown: one sentence piece for each term.
	PolicyHits []string
	Redactions []string
	Trace      Trace
}

// Policy is a list of blocked terms.
type Policy struct {
	terms []term
}

type term struct {
	text    string
	pattern *regexp.Regexp
}

// ParseTerms reads a comma-separated list. White space around and inside terms is
// made plain, and a term that comes twice counts once.
func ParseTerms(list string) ([]string, error) {
	if !utf8.ValidString(list) {
		return nil, errors.New("they are not UTF-8")
	}
	var out []string
	seen := map[string]bool{}
	for part := range strings.SplitSeq(list, ",") {
		t := strings.ToLower(strings.Join(strings.Fields(part), " "))
		if t == "" || seen[t] {
			continue
		}
		if len(t) > MaxTerm {
			return nil, fmt.Errorf("a term has more than %d bytes", MaxTerm)
		}
		seen[t] = true
		out = append(out, t)
	}
	if len(out) > MaxTerms {
		return nil, fmt.Errorf("there are %d terms; the most is %d", len(out), MaxTerms)
	}
	return out, nil
}

// New makes a policy of terms as ParseTerms gives them. A term matches as whole
// words, in any case, with up to 16 characters of white space between them.
func New(terms []string) *Policy {
	p := &Policy{}
	for _, t := range terms {
		words := strings.Fields(t)
		for i, w := range words {
			words[i] = regexp.QuoteMeta(w)
		}
		p.terms = append(p.terms, term{t, regexp.MustCompile(`(?i)` + strings.Join(words, `\s{1,16}`))})
	}
	return p
}

// Evaluate decides about a text. mode is ModePublic or ModeRaw.
func (p *Policy) Evaluate(text, mode string) Decision {
	d := Decision{Allow: true, PolicyHits: []string{}, Redactions: []string{}, Trace: Trace{
		Mode: mode, PolicyVersion: Version, HardBlockThreshold: 1, Hits: []Hit{}, RedactionStyle: "[REDACTED]",
		ModeRationale: "In PUBLIC one hit blocks the output.",
	}}
	if mode == ModeRaw {
		d.Trace.HardBlockThreshold, d.Trace.RedactionStyle = 999, "[FLAGGED]"
		d.Trace.ModeRationale = "In RAW hits are flagged and the output is allowed."
	}
	for _, t := range p.terms {
		found := t.find(text)
		if len(found) == 0 {
			continue
		}
		d.PolicyHits = append(d.PolicyHits, t.text)
		d.Redactions = append(d.Redactions, d.Trace.RedactionStyle+" "+t.text)
		d.Trace.HitCount += len(found)
		for _, at := range found {
			if len(d.Trace.Hits) == maxHits {
				break
			}
			d.Trace.Hits = append(d.Trace.Hits, hit(text, t.text, mode, at))
		}
	}
	d.Allow = mode == ModeRaw || d.Trace.HitCount < d.Trace.HardBlockThreshold
	d.Trace.Allow = d.Allow
	return d
}

func hit(text, term, mode string, at [2]int) Hit {
	start := utf8.RuneCountInString(text[:at[0]])
	return Hit{
		Term: term, Start: start, End: start + utf8.RuneCountInString(text[at[0]:at[1]]),
		MatchedText: text[at[0]:at[1]], Rule: rule, Mode: mode,
	}
}

// find returns where the term stands as whole words. The ends of a word are looked
// at here because \b knows ASCII only.
func (t term) find(text string) [][2]int {
	var out [][2]int
	for from := 0; from < len(text); {
		m := t.pattern.FindStringIndex(text[from:])
		if m == nil {
			return out
		}
		start, end := from+m[0], from+m[1]
		before, _ := utf8.DecodeLastRuneInString(text[:start])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if !inWord(before, start > 0) && !inWord(after, end < len(text)) {
			out = append(out, [2]int{start, end})
			from = end
			continue
		}
		_, width := utf8.DecodeRuneInString(text[start:])
		from = start + width
	}
	return out
}

// inWord reports whether a character beside a match makes it a part of a longer
// word.
func inWord(r rune, there bool) bool {
	return there && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
}
