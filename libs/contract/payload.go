package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"nexus.internal/libs/contract/wellformed"
)

// MaxPayloadDepth is how deep a payload may be nested. Decoders have limits of
// their own, and a payload travels inside other messages.
const MaxPayloadDepth = 100

// CheckPayload reports what is wrong with a job payload: it must be a JSON
// object of at most MaxPayload bytes and MaxPayloadDepth levels that passes
// wellformed.Check. Postgres and many readers refuse NUL; a payload with it would fail
// for ever behind the door.
func CheckPayload(p []byte) error {
	if len(p) > MaxPayload {
		return fmt.Errorf("payload has %d bytes; the limit is %d", len(p), MaxPayload)
	}
	found := wellformed.Check(p, wellformed.Rules{Depth: MaxPayloadDepth, FreeAll: true})
	switch {
	case found != nil && found.Kind == wellformed.Encoding:
		return errors.New("payload is not valid UTF-8")
	case found != nil && found.Kind == wellformed.Syntax:
		return errors.New("payload is not valid JSON")
	case !isObject(p):
		return errors.New("payload must be a JSON object")
	case found == nil:
		return nil
	case found.Kind == wellformed.Depth:
		return fmt.Errorf("payload is nested deeper than %d levels", MaxPayloadDepth)
	case found.Kind == wellformed.NUL:
		return errors.New("payload must not contain the character NUL (\\u0000)")
	}
	return fmt.Errorf("payload%s: %s", found.At, found.Detail)
}

func isObject(p []byte) bool {
	for _, c := range p {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// PayloadDepth is how deep valid JSON is nested.
func PayloadDepth(p []byte) int { return depth(p) }

func depth(p []byte) int {
	deepest, level, quoted := 0, 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// CheckIdempotencyKey reports what is wrong with an idempotency key: it must
// be at most MaxIdempotencyKey bytes of printable UTF-8. No key is fine.
func CheckIdempotencyKey(key string) error {
	if len(key) > MaxIdempotencyKey {
		return fmt.Errorf("idempotency_key has %d bytes; the limit is %d", len(key), MaxIdempotencyKey)
	}
	if !utf8.ValidString(key) {
		return errors.New("idempotency_key is not valid UTF-8")
	}
	for _, r := range key {
		if !unicode.IsPrint(r) {
			return errors.New("idempotency_key must hold printable characters only")
		}
	}
	return nil
}

// CheckTags reports what is wrong with a job's tags: at most MaxTags of them, no
// two the same, each 1 to MaxTag of a-z A-Z 0-9 _ - . : / =.
func CheckTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("there are %d tags; the limit is %d", len(tags), MaxTags)
	}
	for i, tag := range tags {
		if err := CheckTag(tag); err != nil {
			return err
		}
		if slices.Contains(tags[:i], tag) {
			return fmt.Errorf("tag '%s' is given twice", tag)
		}
	}
	return nil
}

// CheckTag reports what is wrong with one tag.
func CheckTag(tag string) error {
	if tag == "" || len(tag) > MaxTag {
		return fmt.Errorf("a tag has %d bytes: want 1 to %d", len(tag), MaxTag)
	}
	for i := range len(tag) {
		if c := tag[i]; !ValidToken(tag[i:i+1]) && c != '.' && c != ':' && c != '/' && c != '=' {
			return errors.New("a tag may hold a-z A-Z 0-9 _ - . : / = only")
		}
	}
	return nil
}

// FetchPayload puts a payload of size bytes together; ask fetches the part that
// begins at an offset.
func FetchPayload(size int, ask func(offset int) (PayloadReply, error)) (json.RawMessage, error) {
	if size > MaxPayload {
		return nil, fmt.Errorf("the payload has %d bytes; the limit is %d", size, MaxPayload)
	}
	return fetch("payload", size, ask)
}

// fetch puts together what is larger than a message.
func fetch(what string, size int, ask func(offset int) (PayloadReply, error)) ([]byte, error) {
	out := make([]byte, 0, size)
	for len(out) < size {
		reply, err := ask(len(out))
		if err != nil {
			return nil, fmt.Errorf("fetch the %s from byte %d: %w", what, len(out), err)
		}
		if len(reply.Part) == 0 || reply.Size != size || len(out)+len(reply.Part) > size {
			return nil, fmt.Errorf("the %s has %d bytes, not the %d it should have", what, reply.Size, size)
		}
		out = append(out, reply.Part...)
	}
	return out, nil
}
