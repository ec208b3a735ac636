package modality

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"nexus.internal/libs/contract"
)

// OfPath returns the modality of a file by the extension of its name, in any
// case. A name with no extension, or with an unlisted one, is binary.
func OfPath(path string) contract.Modality {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".md", ".txt", ".yaml", ".yml":
		return contract.ModalityText
	case ".pdf":
		return contract.ModalityPDF
	case ".png", ".jpg", ".jpeg", ".webp":
		return contract.ModalityImage
	case ".wav", ".mp3", ".flac":
		return contract.ModalityAudio
	default:
		return contract.ModalityBinary
	}
}

// Filter is a set of wanted modalities. The zero value wants all of them.
type Filter struct {
	wanted []contract.Modality
}

// ParseFilter reads the modalities of a request. No names mean no filter. An
// unknown name is an error that lists the known ones.
func ParseFilter(names []string) (Filter, error) {
	known := contract.Modalities()
	var filter Filter
	for _, name := range names {
		m := contract.Modality(name)
		if !slices.Contains(known, m) {
			return Filter{}, fmt.Errorf("unknown modality %q: known modalities are %s", name, list(known))
		}
		filter.wanted = append(filter.wanted, m)
	}
	return filter, nil
}

// Wants tells whether files of modality m pass the filter.
func (f Filter) Wants(m contract.Modality) bool {
	return len(f.wanted) == 0 || slices.Contains(f.wanted, m)
}

func list(modalities []contract.Modality) string {
	names := make([]string, len(modalities))
	for i, m := range modalities {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}
