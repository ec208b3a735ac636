package config

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// words say what the values of a setting are.
type words string

// kind describes a type to a reader who knows no Go. The unit of a number is in
// its name.
func kind(name string, t reflect.Type) words {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Duration]() {
		return "duration, such as 10s or 1m30s"
	}
	unit := ""
	for suffix, of := range map[string]string{"_SECONDS": " of seconds", "_MINUTES": " of minutes", "_HOURS": " of hours", "_BYTES": " of bytes"} {
		if strings.HasSuffix(name, suffix) {
			unit = of
		}
	}
	switch {
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	case reflect.Zero(t).CanFloat():
		return words("number" + unit)
	default:
		return words("whole number" + unit)
	}
}

// wanted ends the sentence about a value that cannot be read because of err.
func (w words) wanted(err error) string {
	var parse env.ParseError
	switch {
	case errors.As(err, &parse) && errors.Is(parse.Err, strconv.ErrRange):
		return "a " + string(w) + " nearer to 0"
	case strings.HasPrefix(string(w), "true"):
		return string(w)
	default:
		return "a " + string(w)
	}
}
