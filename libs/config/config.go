// Package config reads typed settings from NEXUS_* environment variables and a
// .env file, reports every problem at once, and documents itself.
//
// What the settings are belongs to the services: each declares a struct with
// `env`, `envDefault` and `doc` tags beside its code.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

// Prefix starts the name of every setting.
const Prefix = "NEXUS_"

// Validator is a settings struct with rules of its own. Validate returns every
// problem, joined, each naming the variable.
type Validator interface {
	Validate() error
}

// Environ is the process environment with the .env file in dir beneath it:
// variables that are set win over the file. A missing file is fine.
func Environ(dir string) (map[string]string, error) {
	out := map[string]string{}
	file, err := godotenv.Read(dir + "/.env")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s/.env: %w", dir, err)
	}
	for k, v := range file {
		out[k] = v
	}
	for _, kv := range os.Environ() {
		if k, v, ok := strings.Cut(kv, "="); ok {
			out[k] = v
		}
	}
	return out, nil
}

// Load fills target, a pointer to a settings struct, from environ and
// validates it. The error holds every problem found.
func Load(target any, environ map[string]string) error {
	err := env.ParseWithOptions(target, env.Options{Prefix: Prefix, Environment: environ})
	fields := map[string]string{}
	if target != nil {
		collectFields(reflect.TypeOf(target), fields)
	}
	problems := flatten(err, fields)
	if len(problems) == 0 {
		if v, ok := target.(Validator); ok {
			problems = flatten(v.Validate(), fields)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("the settings have %d problem(s):\n  - %s", len(problems), strings.Join(problems, "\n  - "))
}

// collectFields maps the names of fields to those of their variables.
func collectFields(t reflect.Type, fields map[string]string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("env"), ","); name != "" {
			fields[f.Name] = Prefix + name
		} else {
			collectFields(f.Type, fields)
		}
	}
}

// flatten lists the single problems of err, each naming its variable.
func flatten(err error, fields map[string]string) []string {
	if err == nil {
		return nil
	}
	var parse env.ParseError
	if errors.As(err, &parse) && fields[parse.Name] != "" {
		if _, many := err.(env.AggregateError); !many { //nolint:errorlint // asks for the collection itself
			return []string{fmt.Sprintf("%s is not a %s: %v", fields[parse.Name], parse.Type, parse.Err)}
		}
	}
	var agg env.AggregateError
	if errors.As(err, &agg) {
		var out []string
		for _, e := range agg.Errors {
			out = append(out, flatten(e, fields)...)
		}
		return out
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []string
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e, fields)...)
		}
		return out
	}
	return []string{err.Error()}
}

// Setting documents one variable.
type Setting struct {
	Name    string
	Type    string
	Default string
	Doc     string
}

// Settings lists the variables of a settings struct, sorted by name.
func Settings(target any) ([]Setting, error) {
	params, err := env.GetFieldParamsWithOptions(target, env.Options{Prefix: Prefix})
	if err != nil {
		return nil, fmt.Errorf("list the settings of %T: %w", target, err)
	}
	docs := map[string]Setting{}
	collectDocs(reflect.TypeOf(target), docs)
	out := make([]Setting, 0, len(params))
	for _, p := range params {
		d := docs[strings.TrimPrefix(p.Key, Prefix)]
		out = append(out, Setting{Name: p.Key, Type: d.Type, Default: p.DefaultValue, Doc: d.Doc})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return slices.CompactFunc(out, func(a, b Setting) bool { return a.Name == b.Name }), nil
}

func collectDocs(t reflect.Type, docs map[string]Setting) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if name == "" {
			collectDocs(f.Type, docs)
			continue
		}
		docs[name] = Setting{Type: f.Type.String(), Doc: f.Tag.Get("doc")}
	}
}

// Unknown lists the NEXUS_* variables of environ that no setting has, sorted:
// mistyped names, most likely.
func Unknown(settings []Setting, environ map[string]string) []string {
	known := map[string]bool{}
	for _, s := range settings {
		known[s.Name] = true
	}
	var out []string
	for name := range environ {
		if strings.HasPrefix(name, Prefix) && !known[name] {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// Markdown renders settings as a table.
func Markdown(settings []Setting) string {
	var b strings.Builder
	b.WriteString("| Variable | Type | Default | Meaning |\n|---|---|---|---|\n")
	for _, s := range settings {
		def := s.Default
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, s.Type, def, s.Doc)
	}
	return b.String()
}
