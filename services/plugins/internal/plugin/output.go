package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"nexus.internal/services/plugins/internal/layer"
)

// maxDepth bounds how deep an output may nest; readers of JSON, Postgres among
// them, give up somewhere beyond.
const maxDepth = 32

// admit checks what a plugin has returned and encodes its body anew, so that
// whatever follows may trust it: a JSON object in UTF-8 of at most limit bytes,
// of its layer's shape, safe to store and to send on. The result shares no memory
// with the plugin.
func admit(shapes *layer.Shapes, name layer.Name, o Output, limit int) (json.RawMessage, error) {
	if !(o.Confidence >= 0 && o.Confidence <= 1) {
		return nil, fmt.Errorf("confidence %v is not between 0 and 1", o.Confidence)
	}
	if err := checkSize(len(o.Body), limit); err != nil {
		return nil, err
	}
	if !utf8.Valid(o.Body) {
		return nil, errors.New("output is not UTF-8")
	}
	object, err := decodeObject(o.Body)
	if err != nil {
		return nil, err
	}
	if err := checkValue(object, 1); err != nil {
		return nil, err
	}
	if err := shapes.Check(name, object); err != nil {
		return nil, err
	}
	body, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("output cannot be encoded: %w", err)
	}
	return body, checkSize(len(body), limit)
}

func checkSize(size, limit int) error {
	if size > limit {
		return fmt.Errorf("output has %d bytes and the limit is %d", size, limit)
	}
	return nil
}

func decodeObject(body []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, errors.New("output is not a JSON object")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("output goes on after its JSON object")
	}
	return object, nil
}

// checkValue refuses what JSON allows and databases do not: NUL characters,
// numbers beyond a float64, and deep nesting.
func checkValue(value any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("output nests deeper than %d levels", maxDepth)
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if err := checkText(key); err != nil {
				return err
			}
			if err := checkValue(inner, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := checkValue(inner, depth+1); err != nil {
				return err
			}
		}
	case string:
		return checkText(v)
	case json.Number:
		return checkNumber(v)
	}
	return nil
}

func checkText(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("output holds a NUL character")
	}
	return nil
}

// maxNumberBytes bounds how a number is written.
const maxNumberBytes = 64

// checkNumber refuses numbers beyond a float64, and those that are written so
// that exact arithmetic would take its time: 0e999999999 is one.
func checkNumber(n json.Number) error {
	float, err := n.Float64()
	mantissa, exponent, _ := strings.Cut(strings.ToLower(n.String()), "e")
	vanished := float == 0 && (strings.ContainsAny(mantissa, "123456789") || exponent != "")
	if err != nil || vanished || len(n) > maxNumberBytes {
		return errors.New("output holds a number out of range")
	}
	return nil
}
