package modality_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/modality"
)

func TestOfPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]contract.Modality{
		"a.md":            contract.ModalityText,
		"a.txt":           contract.ModalityText,
		"deep/er/a.yaml":  contract.ModalityText,
		"a.yml":           contract.ModalityText,
		"A.MD":            contract.ModalityText,
		"paper.pdf":       contract.ModalityPDF,
		"x.png":           contract.ModalityImage,
		"x.jpg":           contract.ModalityImage,
		"x.JPEG":          contract.ModalityImage,
		"x.webp":          contract.ModalityImage,
		"x.wav":           contract.ModalityAudio,
		"x.mp3":           contract.ModalityAudio,
		"x.flac":          contract.ModalityAudio,
		"x.bin":           contract.ModalityBinary,
		"README":          contract.ModalityBinary,
		"archive.txt.gz":  contract.ModalityBinary,
		"notes.md/binary": contract.ModalityBinary,
		"":                contract.ModalityBinary,
	} {
		require.Equal(t, want, modality.OfPath(path), "path %q", path)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()

	all, err := modality.ParseFilter(nil)
	require.NoError(t, err)
	for _, m := range contract.Modalities() {
		require.True(t, all.Wants(m))
	}

	some, err := modality.ParseFilter([]string{"text", "pdf", "text"})
	require.NoError(t, err)
	require.True(t, some.Wants(contract.ModalityText))
	require.True(t, some.Wants(contract.ModalityPDF))
	require.False(t, some.Wants(contract.ModalityImage))
}

func TestParseFilterNamesTheKnownModalities(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"video", "Text", "", " text"} {
		_, err := modality.ParseFilter([]string{"text", name})
		require.ErrorContains(t, err, "unknown modality")
		require.ErrorContains(t, err, "text, pdf, image, audio, binary")
	}
}
