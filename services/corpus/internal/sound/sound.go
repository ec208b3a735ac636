package sound

import (
	"bytes"
	"fmt"
)

// The formats.
const (
	WAV  = "wav"
	MP3  = "mp3"
	FLAC = "flac"
)

// Info is what is known of a sound.
type Info struct {
	Format string
	// Seconds is how long it plays.
	Seconds float64
	// Rate is in samples a second.
	Rate     int
	Channels int
}

// Limits of what a header may claim.
const (
	maxRate     = 1 << 20
	maxChannels = 256
)

// Read reads a sound of a format. The error is a sentence about the file.
func Read(format string, data []byte) (Info, error) {
	if got := FormatOf(data); got != format && (got != "" || format != MP3) {
		if got == "" {
			return Info{}, fmt.Errorf("is not a %s sound: its content does not begin like one", format)
		}
		return Info{}, fmt.Errorf("is not a %s sound: its content is %s", format, got)
	}
	info, err := read(format, data)
	if err != nil {
		return Info{}, err
	}
	info.Format = format
	if info.Rate < 1 || info.Rate > maxRate || info.Channels < 1 || info.Channels > maxChannels {
		return Info{}, fmt.Errorf("is a broken %s sound: it claims %d samples a second in %d channels", format, info.Rate, info.Channels)
	}
	return info, nil
}

func read(format string, data []byte) (Info, error) {
	switch format {
	case WAV:
		return readWAV(data)
	case FLAC:
		return readFLAC(data)
	default:
		return readMP3(data)
	}
}

// FormatOf tells the format by how a file begins; empty for none of them. An MP3
// may begin with anything, so it is known by its tag or first frame only.
func FormatOf(data []byte) string {
	switch {
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WAVE":
		return WAV
	case bytes.HasPrefix(data, []byte("fLaC")):
		return FLAC
	case bytes.HasPrefix(data, []byte("ID3")):
		return MP3
	}
	if _, ok := frameAt(data); ok {
		return MP3
	}
	return ""
}
