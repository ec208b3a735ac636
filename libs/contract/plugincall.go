package contract

import "encoding/json"

// Operations of a PluginCall.
const (
	// PluginDescribe asks what the plugin takes; it is answered with a
	// PluginDescription.
	PluginDescribe = "describe"
	// PluginRun asks for one layer of one text; it is answered with a PluginAnswer.
	PluginRun = "run"
)

// PluginCall is what a plugin outside our processes is asked: one that speaks
// NATS on its PluginSubject, a WebAssembly module on its standard input.
type PluginCall struct {
	Operation string `json:"op" enum:"describe,run"`
	// The rest is set in runs.
	Layer    string   `json:"layer,omitempty"`
	Modality Modality `json:"modality,omitempty"`
	// Text is the whole text.
	Text string `json:"text,omitempty"`
	// Baseline is what the baseline says of the text: an output of the layer's
	// shape, to be changed and added to.
	Baseline json.RawMessage `json:"baseline,omitempty"`
}

// PluginDescription is what a plugin takes. It is asked for again and again, so
// that a new version is noticed; the same answer tells that the plugin is well.
type PluginDescription struct {
	Version    string     `json:"version"`
	Modalities []Modality `json:"modalities"`
	Layers     []string   `json:"layers"`
}

// PluginAnswer is a computed layer, or why there is none.
type PluginAnswer struct {
	// Output is a JSON object of the layer's shape; further fields are welcome.
	Output json.RawMessage `json:"output,omitempty"`
	// Confidence is 0 to 1.
	Confidence float64 `json:"confidence"`
	// Error says why there is no output.
	Error string `json:"error,omitempty"`
}
