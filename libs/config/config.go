// Package config reads typed settings from NEXUS_* environment variables and a
// .env file, reports every problem at once, and documents itself.
//
// What the settings are belongs to the services: each declares a struct with
// `env`, `envDefault` and `doc` tags beside its code.
package config

import (
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Prefix starts the name of every setting.
const Prefix = "NEXUS_"

// Validator is a settings struct with rules of its own. Validate returns every
// problem, joined, each naming the variable.
type Validator interface {
	Validate() error
}

// Environ is the process environment with the .env file in dir beneath it:
// variables that are set win over the file. A missing file is fine. An error
// names the lines that cannot be read and shows nothing of them.
func Environ(dir string) (map[string]string, error) {
	out := map[string]string{}
	file, err := readDotEnv(dir + "/.env")
	if err != nil {
		return nil, err
	}
	maps.Copy(out, file)
	for _, kv := range os.Environ() {
		if k, v, ok := strings.Cut(kv, "="); ok {
			out[k] = v
		}
	}
	return out, nil
}

// Load fills target, a pointer to a settings struct, from environ, validates it
// and runs the checks. The error holds every problem found: a value that cannot
// be read is one, and the rest is judged as if it were not set.
func Load(target any, environ map[string]string, checks ...func() error) error {
	problems, readable := unreadable(target, environ)
	if err := env.ParseWithOptions(target, env.Options{Prefix: Prefix, Environment: readable}); err != nil {
		problems = append(problems, flatten(err)...)
	} else {
		if v, ok := target.(Validator); ok {
			problems = append(problems, flatten(v.Validate())...)
		}
		for _, check := range checks {
			problems = append(problems, flatten(check())...)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("the settings have %d problem(s):\n  - %s", len(problems), strings.Join(problems, "\n  - "))
}

// unreadable lists the variables whose values are not of their type, and returns
// the environment without them.
func unreadable(target any, environ map[string]string) (problems []string, readable map[string]string) {
	readable = maps.Clone(environ)
	if target == nil {
		return nil, readable
	}
	eachField(reflect.TypeOf(target), func(name string, f reflect.StructField) {
		value := readable[name]
		if value == "" {
			return
		}
		single := reflect.New(reflect.StructOf([]reflect.StructField{{Name: f.Name, Type: f.Type, Tag: f.Tag}}))
		err := env.ParseWithOptions(single.Interface(), env.Options{Prefix: Prefix, Environment: map[string]string{name: value}})
		if err == nil && finite(single.Elem().Field(0)) {
			return
		}
		delete(readable, name)
		problems = append(problems, name+" is "+show(value)+": want "+kind(name, f.Type).wanted(err))
	})
	return problems, readable
}

// finite is true for whatever is no number, too.
func finite(v reflect.Value) bool {
	return !v.CanFloat() || !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
}

// eachField calls fn with every variable of a settings struct, in order.
func eachField(t reflect.Type, fn func(name string, f reflect.StructField)) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("env"), ","); name != "" {
			fn(Prefix+name, f)
		} else {
			eachField(f.Type, fn)
		}
	}
}

// flatten lists the single problems of err.
func flatten(err error) []string {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var out []string
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// Setting documents one variable.
type Setting struct {
	Name string
	// Type says in words what the value is.
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
	eachField(reflect.TypeOf(target), func(name string, f reflect.StructField) {
		docs[name] = Setting{Type: string(kind(name, f.Type)), Doc: f.Tag.Get("doc")}
	})
	out := make([]Setting, 0, len(params))
	for _, p := range params {
		d := docs[p.Key]
		out = append(out, Setting{Name: p.Key, Type: d.Type, Default: p.DefaultValue, Doc: d.Doc})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return slices.CompactFunc(out, func(a, b Setting) bool { return a.Name == b.Name }), nil
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
