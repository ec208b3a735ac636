// Package media makes small images and sounds for tests.
package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"image/png"
)

// PNG makes an image.
func PNG(width, height int) []byte {
	var out bytes.Buffer
	_ = png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))) // a buffer takes everything
	return out.Bytes()
}

// JPEG makes an image.
func JPEG(width, height int) []byte {
	var out bytes.Buffer
	_ = jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, width, height)), nil) // a buffer takes everything
	return out.Bytes()
}

// WebP makes an image without loss: its header, and pixels of no use.
func WebP(width, height int) []byte {
	bits := uint32(width-1) | uint32(height-1)<<14
	body := append([]byte{0x2f}, binary.LittleEndian.AppendUint32(nil, bits)...)
	body = append(body, 0, 0, 0)
	return riff("WEBP", chunk("VP8L", body))
}

// WAV makes a sound of silence, 16 bits a sample.
func WAV(rate, channels, samples int) []byte {
	return riff("WAVE", append(WAVFormat(rate, channels), chunk("data", make([]byte, samples*channels*2))...))
}

// WAVFormat is the part of a WAV file that says how its samples are laid out.
func WAVFormat(rate, channels int) []byte {
	var format []byte
	format = binary.LittleEndian.AppendUint16(format, 1)
	format = binary.LittleEndian.AppendUint16(format, uint16(channels))
	format = binary.LittleEndian.AppendUint32(format, uint32(rate))
	format = binary.LittleEndian.AppendUint32(format, uint32(rate*channels*2))
	format = binary.LittleEndian.AppendUint16(format, uint16(channels*2))
	format = binary.LittleEndian.AppendUint16(format, 16)
	return chunk("fmt ", format)
}

// MP3 makes a sound of silence at 44,100 samples a second in two channels, 1,152
// samples a frame.
func MP3(frames int) []byte {
	const size = 417 // 144 × 128,000 bits a second / 44,100
	frame := append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, size-4)...)
	return bytes.Repeat(frame, frames)
}

func riff(kind string, chunks []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(chunks)+4)), append([]byte(kind), chunks...)...)
}

func chunk(name string, body []byte) []byte {
	out := append(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body))), body...)
	if len(body)%2 == 1 {
		out = append(out, 0)
	}
	return out
}
