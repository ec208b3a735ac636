package sound

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errNoSound = errors.New("is a broken wav sound: it holds no description or no samples")

// readWAV follows the chunks of a RIFF file.
func readWAV(data []byte) (Info, error) {
	var format []byte
	for rest := data[12:]; len(rest) >= 8; {
		name, size := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		if size > int64(len(rest)) {
			return Info{}, fmt.Errorf("is a wav sound whose header lies or that is truncated: its part %q claims %d bytes and has %d", name, size, len(rest))
		}
		body := rest[:size]
		rest = rest[min(size+size%2, int64(len(rest))):]
		switch {
		case name == "fmt " && format == nil:
			if len(body) < 16 {
				return Info{}, errNoSound
			}
			format = body
		case name == "data":
			if format == nil {
				return Info{}, errNoSound
			}
			return describedBy(format, size)
		}
	}
	return Info{}, errNoSound
}

func describedBy(format []byte, size int64) (Info, error) {
	const pcm, float = 1, 3
	var (
		coding   = binary.LittleEndian.Uint16(format)
		channels = int64(binary.LittleEndian.Uint16(format[2:]))
		rate     = int64(binary.LittleEndian.Uint32(format[4:]))
		second   = int64(binary.LittleEndian.Uint32(format[8:]))
		block    = int64(binary.LittleEndian.Uint16(format[12:]))
		bits     = int64(binary.LittleEndian.Uint16(format[14:]))
	)
	if coding == pcm || coding == float {
		if block != channels*((bits+7)/8) || second != rate*block {
			return Info{}, fmt.Errorf("is a wav sound whose header lies: %d channels of %d bits at %d samples a second are not blocks of %d bytes and %d bytes a second",
				channels, bits, rate, block, second)
		}
	}
	if second < 1 || block < 1 {
		return Info{}, errors.New("is a wav sound whose header lies: it claims no bytes a second")
	}
	return Info{Seconds: float64(size) / float64(second), Rate: int(rate), Channels: int(channels)}, nil
}
