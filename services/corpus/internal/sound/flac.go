package sound

import (
	"bytes"
	"errors"

	"github.com/mewkiz/flac"
)

var errFLAC = errors.New("is a broken flac sound: its header or its first frame cannot be read")

// leastFrame is the fewest bytes that a frame takes.
const leastFrame = 9

// readFLAC reads the header and, to see that there is sound behind it, the first
// frame.
func readFLAC(data []byte) (Info, error) {
	stream, err := flac.New(bytes.NewReader(data))
	if err != nil {
		return Info{}, errFLAC
	}
	about := stream.Info
	if about == nil || about.SampleRate == 0 || about.BlockSizeMax == 0 {
		return Info{}, errFLAC
	}
	if _, err := stream.ParseNext(); err != nil {
		return Info{}, errFLAC
	}
	if about.NSamples == 0 {
		return Info{}, errors.New("is a flac sound that does not say how long it is")
	}
	if most := uint64(len(data)) / leastFrame * uint64(about.BlockSizeMax); about.NSamples > most {
		return Info{}, errors.New("is a flac sound whose header lies or that is truncated: it claims more samples than it can hold")
	}
	return Info{
		Seconds: float64(about.NSamples) / float64(about.SampleRate), Rate: int(about.SampleRate), Channels: int(about.NChannels),
	}, nil
}
