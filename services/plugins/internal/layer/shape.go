package layer

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// shapesText says of each layer which fields its output has at least.
//
//go:embed shapes.json
var shapesText []byte

// Shapes tells whether an output has the shape of its layer: the fields that
// clients read. Further fields are welcome. It may be used from several
// goroutines.
type Shapes struct {
	byLayer map[Name]*jsonschema.Schema
}

// NewShapes reads the shapes of all layers.
func NewShapes() (*Shapes, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(shapesText))
	if err != nil {
		return nil, fmt.Errorf("read the shapes of layers: %w", err)
	}
	const file = "nexus:shapes.json"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(file, doc); err != nil {
		return nil, fmt.Errorf("read the shapes of layers: %w", err)
	}
	s := &Shapes{byLayer: map[Name]*jsonschema.Schema{}}
	for _, n := range Names() {
		if s.byLayer[n], err = compiler.Compile(file + "#/$defs/" + string(n)); err != nil {
			return nil, fmt.Errorf("read the shape of layer %s: %w", n, err)
		}
	}
	return s, nil
}

// Check returns what is wrong with an output of a layer, in a sentence. The
// output is decoded JSON whose numbers are json.Number.
func (s *Shapes) Check(n Name, output any) error {
	shape := s.byLayer[n]
	if shape == nil {
		return &UnknownError{Requested: clip(string(n))}
	}
	var broken *jsonschema.ValidationError
	err := shape.Validate(output)
	if !errors.As(err, &broken) {
		return err
	}
	for len(broken.Causes) > 0 {
		broken = broken.Causes[0]
	}
	field := clip(strings.Join(append([]string{string(n)}, broken.InstanceLocation...), "."))
	return fmt.Errorf("output has not the shape of its layer: %s: %s", field,
		broken.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
}
