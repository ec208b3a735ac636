package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const workflowPath = "../.github/workflows/ci.yml"

// workflowFile is the part of the workflow syntax that ci.yml uses: anything else is
// refused.
type workflowFile struct {
	Name string `yaml:"name"`
	On   struct {
		Push             struct{ Branches []string } `yaml:"push"`
		PullRequest      *struct{}                   `yaml:"pull_request"`
		WorkflowDispatch *struct{}                   `yaml:"workflow_dispatch"`
	} `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency struct {
		Group            string `yaml:"group"`
		CancelInProgress string `yaml:"cancel-in-progress"`
	} `yaml:"concurrency"`
	Defaults struct {
		Run struct {
			Shell string `yaml:"shell"`
		} `yaml:"run"`
	} `yaml:"defaults"`
	Jobs map[string]workflowJob `yaml:"jobs"`
}

type workflowJob struct {
	RunsOn         string         `yaml:"runs-on"`
	TimeoutMinutes int            `yaml:"timeout-minutes"`
	Needs          []string       `yaml:"needs"`
	Steps          []workflowStep `yaml:"steps"`
}

type workflowStep struct {
	Name string            `yaml:"name"`
	If   string            `yaml:"if"`
	Uses string            `yaml:"uses"`
	With map[string]string `yaml:"with"`
	Run  string            `yaml:"run"`
}

func decodeWorkflow(text string) (workflowFile, error) {
	var file workflowFile
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(&file)
	return file, err
}

// command is what a step runs: a target of the Makefile, or a script below scripts/.
type command string

var (
	callsMake   = regexp.MustCompile(`(?:^|\s)make((?: [a-z][a-z0-9/-]*)+)`)
	callsScript = regexp.MustCompile(`(?:^|\s)(scripts/[a-z]+\.sh)`)
)

// commands are what shell text runs, in its order. Of .ci/run they are the steps, with
// functions of its own where they are defined.
func commands(shell string) []command {
	var found []command
	for line := range strings.Lines(shell) {
		code, _, _ := strings.Cut(line, "#")
		for _, call := range callsMake.FindAllStringSubmatch(code, -1) {
			for target := range strings.FieldsSeq(call[1]) {
				found = append(found, command("make "+target))
			}
		}
		for _, call := range callsScript.FindAllStringSubmatch(code, -1) {
			found = append(found, command(call[1]))
		}
	}
	return found
}

// stepsOf are the commands of .ci/run in the order in which they run.
func stepsOf(t *testing.T, script string) []command {
	t.Helper()
	functions := map[string][]command{}
	for _, f := range regexp.MustCompile(`(?ms)^([a-z_]+)\(\) \{(?: ([^\n]*) |\n(.*?)\n)\}$`).FindAllStringSubmatch(script, -1) {
		functions[f[1]] = commands(f[2] + f[3])
	}
	var steps []command
	for _, call := range regexp.MustCompile(`(?m)^step '[^']+' (.+)$`).FindAllStringSubmatch(script, -1) {
		if inside, ok := functions[call[1]]; ok {
			steps = append(steps, inside...)
			continue
		}
		steps = append(steps, commands(call[1])...)
	}
	return steps
}

// targetsOf are what the rules of a Makefile make.
func targetsOf(makefile string) map[command]bool {
	targets := map[command]bool{}
	for _, rule := range regexp.MustCompile(`(?m)^([a-z][a-z0-9/ -]*):(?:[^=].*)?$`).FindAllStringSubmatch(makefile, -1) {
		for name := range strings.FieldsSeq(rule[1]) {
			targets[command("make "+name)] = true
		}
	}
	return targets
}

// driftOf says where a workflow does other than .ci/run with its steps and the
// Makefile with its targets.
func driftOf(file workflowFile, steps []command, targets map[command]bool) []string {
	var drift []string
	run := map[command]bool{}
	for name, job := range file.Jobs {
		var inJob []int
		for _, step := range job.Steps {
			found := commands(step.Run)
			if step.Run != "" && len(found) == 0 {
				drift = append(drift, fmt.Sprintf("%s runs %q, which is no target and no script", name, step.Run))
			}
			for _, c := range found {
				run[c] = true
				at := slices.Index(steps, c)
				if at < 0 {
					drift = append(drift, fmt.Sprintf("%s runs %q, which .ci/run does not", name, c))
				}
				inJob = append(inJob, at)
			}
		}
		if !slices.IsSorted(inJob) {
			drift = append(drift, name+" has another order than .ci/run")
		}
	}
	for _, c := range steps {
		if !run[c] {
			drift = append(drift, fmt.Sprintf("no job runs %q", c))
		}
	}
	for c := range run {
		if strings.HasPrefix(string(c), "make ") && !targets[c] {
			drift = append(drift, fmt.Sprintf("the Makefile has no target for %q", c))
		}
	}
	slices.Sort(drift)
	return drift
}

func TestWorkflowDoesWhatCIDoes(t *testing.T) {
	t.Parallel()
	text := readFile(t, workflowPath)
	file, err := decodeWorkflow(text)
	require.NoError(t, err)
	steps, targets := stepsOf(t, readFile(t, "../.ci/run")), targetsOf(readFile(t, "../Makefile"))
	require.Contains(t, steps, command("make test"), "read .ci/run")
	require.Contains(t, targets, command("make bin/golangci-lint"), "read the Makefile")
	require.Empty(t, driftOf(file, steps, targets))
	for _, c := range steps {
		if script, ok := strings.CutPrefix(string(c), "scripts/"); ok {
			info, err := os.Stat(filepath.Join("../scripts", script))
			require.NoError(t, err)
			require.NotZero(t, info.Mode()&0o100, "%s cannot be run", script)
		}
	}

	require.Equal(t, []command{"make a", "make b", "make c"}, stepsOf(t, "f() { make a; }\ng() {\n\tif x; then\n\t\tmake b\n\tfi\n}\nstep 'F' f\nstep 'G' g\nstep 'C' make c\n# step 'D' make d\n"))

	for name, edit := range map[string]struct {
		old, new string
		want     []string
	}{
		"a target that is not": {"run: make vet", "run: make vat", []string{
			`lint has another order than .ci/run`, `lint runs "make vat", which .ci/run does not`, `no job runs "make vet"`, `the Makefile has no target for "make vat"`,
		}},
		"a step of its own":     {"run: make vet", "run: go vet work", []string{`lint runs "go vet work", which is no target and no script`, `no job runs "make vet"`}},
		"more than CI does":     {"run: make vet", "run: make vet fuzz", []string{"lint has another order than .ci/run", `lint runs "make fuzz", which .ci/run does not`}},
		"in another order":      {"run: make vet", "run: make lint vet", []string{"lint has another order than .ci/run"}},
		"only in a comment":     {"run: make vet", "run: |\n          # make vet\n          make lint", []string{`no job runs "make vet"`}},
		"without a script":      {"run: scripts/postgres.sh", "run: make test", []string{`no job runs "scripts/postgres.sh"`, "test has another order than .ci/run"}},
		"without the last step": {"run: make chaos-short", "run: scripts/postgres.sh", []string{`no job runs "make chaos-short"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, text, edit.old)
			drifted, err := decodeWorkflow(strings.ReplaceAll(text, edit.old, edit.new))
			require.NoError(t, err)
			got := driftOf(drifted, steps, targets)
			for _, want := range edit.want {
				require.Contains(t, got, want)
			}
		})
	}
}

func TestWorkflowRunsSideBySideAndKeepsWhatItMeasures(t *testing.T) {
	t.Parallel()
	file, err := decodeWorkflow(readFile(t, workflowPath))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"contents": "read"}, file.Permissions)
	require.Equal(t, "bash", file.Defaults.Run.Shell, "without it a pipe hides what failed")
	major := regexp.MustCompile(`^actions/(checkout|setup-go|cache|upload-artifact)@v\d+$`)
	uploads := 0
	for name, job := range file.Jobs {
		require.Empty(t, job.Needs, "%s waits for another job", name)
		require.Positive(t, job.TimeoutMinutes, name)
		used := map[string]bool{}
		for _, step := range job.Steps {
			require.NotEqual(t, step.Uses == "", step.Run == "", "%s: a step either uses or runs: %+v", name, step)
			if step.Uses == "" {
				require.Empty(t, step.If, "%s: what CI does depends on nothing", name)
				continue
			}
			match := major.FindStringSubmatch(step.Uses)
			require.NotNil(t, match, "%s uses %s", name, step.Uses)
			used[match[1]] = true
			switch match[1] {
			case "setup-go":
				require.FileExists(t, filepath.Join("..", step.With["go-version-file"]))
			case "cache":
				require.Contains(t, step.With["path"], "~/.cache/go-build")
				require.Contains(t, step.With["key"], "github.job", "jobs build with other flags: they cannot share what they built")
			case "upload-artifact":
				uploads++
				require.Contains(t, step.With["path"], ".cache/cover/")
				require.Equal(t, "true", step.With["include-hidden-files"], ".cache is hidden")
			}
		}
		require.True(t, used["checkout"] && used["setup-go"] && used["cache"], "%s uses %v", name, used)
	}
	require.Contains(t, file.Jobs, "lint")
	require.Contains(t, file.Jobs, "test")
	require.Equal(t, 1, uploads, "uploads of the coverage")
}

func TestWorkflowFieldsThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"jobs: { a: { step: [] } }":               "field step not found",
		"jobs: { a: { steps: [{ runs: x }] } }":   "field runs not found",
		"jobs: { a: { steps: [] }, a: {} }":       `mapping key "a" already defined`,
		"jobs: { a: { timeout-minutes: never } }": "cannot unmarshal !!str",
	} {
		_, err := decodeWorkflow(text)
		require.ErrorContains(t, err, says)
	}
}
