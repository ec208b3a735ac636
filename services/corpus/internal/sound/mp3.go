package sound

import (
	"bytes"
	"errors"
)

var (
	errMP3          = errors.New("is not an mp3 sound, or a broken one: no frames follow each other in it")
	errMP3Truncated = errors.New("is a truncated mp3 sound: its last frame is not whole")
)

// frame is what the header of an MPEG audio frame says.
type frame struct {
	size, samples  int
	rate, channels int
}

// bitrate is the bits a second, in thousands, by the index in a header; 0 for none.
// Layers count from 0.
func bitrate(version1 bool, layer int, index byte) int {
	if version1 {
		return [3][16]int{
			{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0},
			{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0},
			{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},
		}[layer][index]
	}
	if layer == 0 {
		return [16]int{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0}[index]
	}
	return [16]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0}[index]
}

// frameAt reads the header of the frame that data begins with.
func frameAt(data []byte) (frame, bool) {
	if len(data) < 4 || data[0] != 0xff || data[1]&0xe0 != 0xe0 {
		return frame{}, false
	}
	const reservedVersion, version1, version25 = 1, 3, 0
	version, layerBits := data[1]>>3&3, data[1]>>1&3
	layer := 3 - int(layerBits) // 0 is layer I
	rate := [4]int{44100, 48000, 32000, 0}[data[2]>>2&3]
	if version == reservedVersion || layerBits == 0 || rate == 0 {
		return frame{}, false
	}
	kbps, samples := bitrate(version == version1, layer, data[2]>>4), [3]int{384, 1152, 1152}[layer]
	if version != version1 {
		rate, samples = rate/2, [3]int{384, 1152, 576}[layer]
		if version == version25 {
			rate /= 2
		}
	}
	if kbps == 0 {
		return frame{}, false
	}
	padding, slot := int(data[2]>>1&1), 1
	if layer == 0 {
		slot = 4
	}
	f := frame{samples: samples, rate: rate, channels: 2, size: (samples/8/slot*kbps*1000/rate + padding) * slot}
	if data[3]>>6 == 3 {
		f.channels = 1
	}
	return f, true
}

// readMP3 counts the samples of all frames: neither a constant bit rate nor a
// table of contents has to be believed.
func readMP3(data []byte) (Info, error) {
	rest := behindTag(data)
	// Some files have a little padding before the first frame.
	const within = 64 << 10
	first, at := firstFrame(rest[:min(len(rest), within)], rest)
	if at < 0 {
		return Info{}, errMP3
	}
	rest = rest[at:]
	if isTableOfContents(rest[:min(len(rest), first.size)]) {
		rest = rest[min(len(rest), first.size):]
	}
	var samples int64
	for {
		f, ok := frameAt(rest)
		if !ok || f.rate != first.rate {
			break // a tag, or whatever else stands behind the sound
		}
		if f.size > len(rest) {
			return Info{}, errMP3Truncated
		}
		samples += int64(f.samples)
		rest = rest[f.size:]
	}
	if samples == 0 {
		return Info{}, errMP3
	}
	if !endsWell(rest) {
		return Info{}, errors.New("is a broken mp3 sound: something other than frames stands in the middle of it")
	}
	return Info{Seconds: float64(samples) / float64(first.rate), Rate: first.rate, Channels: first.channels}, nil
}

// firstFrame finds the first frame that another one of its kind, or the end,
// follows. No frames at all is a place of -1.
func firstFrame(within, data []byte) (frame, int) {
	for at := range within {
		f, ok := frameAt(data[at:])
		if !ok {
			continue
		}
		end := at + f.size
		if end >= len(data) {
			if at == 0 {
				return f, at
			}
			continue
		}
		if next, ok := frameAt(data[end:]); ok && next.rate == f.rate || isTag(data[end:]) {
			return f, at
		}
	}
	return frame{}, -1
}

// behindTag passes over an ID3v2 tag (https://id3.org/id3v2.4.0-structure).
func behindTag(data []byte) []byte {
	if len(data) < 10 || string(data[:3]) != "ID3" {
		return data
	}
	size := 10
	for i, b := range data[6:10] {
		size += int(b&0x7f) << (7 * (3 - i))
	}
	return data[min(size, len(data)):]
}

// isTableOfContents reports whether a frame holds no sound but a description of
// the frames behind it.
func isTableOfContents(frame []byte) bool {
	for _, at := range [...]int{13, 21, 36} { // by version and channels; 36 also is where VBRI stands
		if at+4 <= len(frame) {
			switch string(frame[at : at+4]) {
			case "Xing", "Info", "VBRI":
				return true
			}
		}
	}
	return false
}

func isTag(data []byte) bool {
	for _, mark := range [...]string{"TAG", "APETAGEX", "LYRICSBEGIN", "ID3"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return true
		}
	}
	return false
}

// endsWell reports whether what follows the last frame belongs to the file: a tag,
// padding, or the rest of one frame.
func endsWell(rest []byte) bool {
	const most = 4096
	return len(rest) <= most || isTag(rest) || len(bytes.Trim(rest, "\x00")) == 0
}
