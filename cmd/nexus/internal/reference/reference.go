// Package reference writes the pages of the documentation that are made from
// the code: settings, the state machine, the REST API and the wire.
package reference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/services/gateway"
	"nexus.internal/services/jobs"
)

const made = "<!-- Made by `make generate`; changes here are lost. -->\n\n"

// Write writes every page into dir.
func Write(dir string) error {
	settings, err := platform.Settings()
	if err != nil {
		return err
	}
	api, err := openAPI()
	if err != nil {
		return err
	}
	pages := map[string][]byte{
		"configuration.md": []byte(configuration(settings)),
		"state-machine.md": []byte(stateMachine()),
		"wire.md":          []byte(wire()),
		"routes.md":        []byte(routes()),
		"metrics.md":       []byte(metricsPage()),
		"openapi.json":     api,
	}
	for name, content := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // documentation is for everybody
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func configuration(settings []config.Setting) string {
	return made + `# Configuration

Every setting is an environment variable; a file named ` + "`.env`" + ` in the working folder supplies those that are not set.
All problems are reported at once at start, and a NEXUS_ name that means nothing is warned about. A setting with an
empty value has its default.

The file has lines of the form ` + "`NAME=value`" + `, with ` + "`export`" + ` before them or not; of two lines with one name the last one counts.
Single quotes keep a value as it is, ` + "`$`, `#`" + ` and spaces included; otherwise ` + "`$NAME`" + ` stands for the value of a line above, and
` + "` #`" + ` begins a comment. A line that cannot be read stops the start, and is named by its number alone.

Keys and secrets are visible ASCII characters, so that they mean the same in a header, a file and a shell; the bootstrap keys
have 16 to 512 of them. No message shows one, nor a URL, which may hold a password.

What libpq's variables (` + "`PGHOST`, `PGSERVICE`, `PGOPTIONS`" + ` and so on) and files (` + "`~/.pgpass`" + `) say does not reach the private
Postgres server. They do complete a ` + "`NEXUS_DATABASE_URL`" + ` of your own where it leaves something open, as with every client of
Postgres: a password file or a certificate may be given either way.

` + config.Markdown(settings)
}

func stateMachine() string {
	return made + "# The states of a job\n\nThe only transitions there are. The table is in `services/jobs/internal/job`; the database checks what each state needs.\n\n```mermaid\n" +
		jobs.StateMachine() + "```\n\nAfter a failed attempt a job waits 2 s, then 10 s, then 30 s each time. An attempt whose worker went silent counts as failed.\n"
}

// openAPI is the document without the version of the program, which changes
// with every commit.
func openAPI() ([]byte, error) {
	doc, err := gateway.OpenAPI("1")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, doc, "", " "); err != nil {
		return nil, fmt.Errorf("indent the OpenAPI document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func routes() string {
	var b strings.Builder
	b.WriteString(made + `# Who may call what

The least role of each route. Roles, lowest first: ` + "`viewer`, `operator`, `researcher`, `admin`" + `; each may do all that the
ones before it may. The table is in ` + "`services/gateway/internal/access`" + `; a route that it does not know is for admins only,
and fails the tests.

| method | path | least role |
|---|---|---|
`)
	for _, r := range gateway.Access() {
		least := string(r.Least)
		if least == "" {
			least = "none"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", r.Method, r.Path, least)
	}
	return b.String()
}

func wire() string {
	var b strings.Builder
	b.WriteString(made + "# On the wire\n\nAll names live in `libs/contract`.\n\n## Streams\n\n| stream | subjects | kept |\n|---|---|---|\n")
	for _, s := range contract.Streams() {
		kept := "until acknowledged"
		if s.Retention == contract.RetainForAge {
			if kept = fmt.Sprintf("%.0f days", s.MaxAge.Hours()/24); s.MaxAge < 24*time.Hour {
				kept = fmt.Sprintf("%.0f minutes", s.MaxAge.Minutes())
			}
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", s.Name, strings.Join(s.Subjects, "`, `"), kept)
	}
	b.WriteString("\n## Events\n\nAn event message is a JSON array of 1 to " + fmt.Sprint(contract.MaxEventsPerMessage) +
		" events of one type, on `nexus.events.<area>.<what>.<word>`; the word is the job type for job events and the role for auth events.\n\n| subject | type |\n|---|---|\n")
	for _, s := range contract.Statuses() {
		fmt.Fprintf(&b, "| `nexus.events.job.%s.<job_type>` | `%s` |\n", s, contract.EventType(contract.AreaJob, string(s)))
	}
	fmt.Fprintf(&b, "| `nexus.events.job.%s.<job_type>` | `%s` |\n", contract.WhatStaleLease, contract.EventType(contract.AreaJob, contract.WhatStaleLease))
	for _, what := range []string{contract.WhatAuthSuccess, contract.WhatAuthFailure, contract.WhatAuthDenied} {
		fmt.Fprintf(&b, "| `nexus.events.auth.%s.<role>` | `%s` |\n", what, contract.EventType(contract.AreaAuth, what))
	}
	for _, what := range []string{contract.WhatCreated, contract.WhatUpdated, contract.WhatEnabled, contract.WhatDisabled, contract.WhatRotated} {
		fmt.Fprintf(&b, "| `nexus.events.key.%s.<role>` | `%s` |\n", what, contract.EventType(contract.AreaKey, what))
	}
	for _, what := range []string{contract.WhatCreated, contract.WhatUpdated, contract.WhatEnabled, contract.WhatDisabled, contract.WhatRotated, contract.WhatDeleted} {
		fmt.Fprintf(&b, "| `nexus.events.webhook.%s.<owner>` | `%s` |\n", what, contract.EventType(contract.AreaWebhook, what))
	}
	fmt.Fprintf(&b, "| `nexus.events.feature.%s.<feature>` | `%s` |\n", contract.WhatUpdated, contract.EventType(contract.AreaFeature, contract.WhatUpdated))
	fmt.Fprintf(&b, "| `nexus.events.%s.%s.<mode>` | `%s` |\n", contract.AreaGovernance, contract.WhatEvaluate, contract.EventType(contract.AreaGovernance, contract.WhatEvaluate))
	fmt.Fprintf(&b, "| `nexus.events.%s.%s.<service>` | `%s` |\n", contract.AreaLog, contract.WhatLevel, contract.EventType(contract.AreaLog, contract.WhatLevel))
	return b.String()
}
