package document

import (
	"path/filepath"
	"strings"

	"golang.org/x/text/unicode/norm"

	"nexus.internal/libs/contract"
)

// Stem returns the normalised stem of a path: the file's name without its
// extension, composed (NFC), in small letters, with runs of white space made one
// space.
func Stem(path string) string {
	base := filepath.Base(path)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	return strings.Join(strings.Fields(strings.ToLower(norm.NFC.String(stem))), " ")
}

// CrossModal tells whether two documents with the same stem are linked across
// modalities: a text or pdf with an image or audio file.
func CrossModal(a, b contract.Modality) bool {
	return isWritten(a) && isMedia(b) || isMedia(a) && isWritten(b)
}

func isWritten(m contract.Modality) bool {
	return m == contract.ModalityText || m == contract.ModalityPDF
}

func isMedia(m contract.Modality) bool {
	return m == contract.ModalityImage || m == contract.ModalityAudio
}
