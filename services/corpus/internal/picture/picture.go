package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/webp"
)

// The formats.
const (
	PNG  = "png"
	JPEG = "jpeg"
	WebP = "webp"
)

// MaxPixels is the largest image: anything larger is taken for a trap set for
// those who unpack it.
const MaxPixels = 1 << 28

// Info is what is known of an image.
type Info struct {
	Format        string
	Width, Height int
}

const (
	pngStart  = "\x89PNG\r\n\x1a\n"
	jpegStart = "\xff\xd8\xff"
)

// FormatOf tells the format by how a file begins; empty for none of them.
func FormatOf(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte(pngStart)):
		return PNG
	case bytes.HasPrefix(data, []byte(jpegStart)):
		return JPEG
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return WebP
	default:
		return ""
	}
}

// Read reads an image of a format. The error is a sentence about the file.
func Read(format string, data []byte) (Info, error) {
	if got := FormatOf(data); got != format {
		if got == "" {
			return Info{}, fmt.Errorf("is not a %s image: its content does not begin like one", format)
		}
		return Info{}, fmt.Errorf("is not a %s image: its content is %s", format, got)
	}
	cfg, err := configOf(format, data)
	if err != nil {
		return Info{}, fmt.Errorf("is a broken %s image: its header cannot be read", format)
	}
	if cfg.Width <= 0 || cfg.Height <= 0 {
		return Info{}, fmt.Errorf("is a broken %s image: it claims %d × %d pixels", format, cfg.Width, cfg.Height)
	}
	if int64(cfg.Width)*int64(cfg.Height) > MaxPixels {
		return Info{}, fmt.Errorf("claims %d × %d pixels; the limit is %d in all", cfg.Width, cfg.Height, MaxPixels)
	}
	if err := wholeness(format, data); err != nil {
		return Info{}, err
	}
	return Info{Format: format, Width: cfg.Width, Height: cfg.Height}, nil
}

func configOf(format string, data []byte) (image.Config, error) {
	r := bytes.NewReader(data)
	switch format {
	case PNG:
		return png.DecodeConfig(r)
	case JPEG:
		return jpeg.DecodeConfig(r)
	default:
		return webp.DecodeConfig(r)
	}
}

// wholeness goes through the parts of a file to its end.
func wholeness(format string, data []byte) error {
	switch format {
	case PNG:
		return wholePNG(data)
	case JPEG:
		return wholeJPEG(data)
	default:
		return wholeWebP(data)
	}
}

var errTruncated = errors.New("is a truncated image: it ends before its content does")

// wholePNG follows the chunks (https://www.w3.org/TR/png-3/#5Chunk-layout).
func wholePNG(data []byte) error {
	pixels := false
	for rest := data[len(pngStart):]; ; {
		if len(rest) < 12 {
			return errTruncated
		}
		size := int64(binary.BigEndian.Uint32(rest))
		if int64(len(rest)) < size+12 {
			return errTruncated
		}
		body := rest[4 : 8+size]
		if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(rest[8+size:]) {
			return errors.New("is a broken png image: a checksum is wrong")
		}
		switch string(body[:4]) {
		case "IDAT":
			pixels = true
		case "IEND":
			if !pixels {
				return errors.New("is a broken png image: it holds no pixels")
			}
			return nil
		}
		rest = rest[12+size:]
	}
}

// wholeJPEG follows the segments up to the end of the image
// (https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B).
func wholeJPEG(data []byte) error {
	scanned := false
	for rest := data[2:]; ; {
		at := bytes.IndexByte(rest, 0xff)
		if at < 0 || at+1 >= len(rest) {
			return errTruncated
		}
		marker := rest[at+1]
		rest = rest[at+2:]
		switch {
		case marker == 0xff:
			// Fill before a marker: the last 0xff opens it.
			rest = data[len(data)-len(rest)-1:]
			continue
		case marker == 0xd9:
			if !scanned {
				return errors.New("is a broken jpeg image: it holds no pixels")
			}
			return nil
		case marker == 0x00, marker == 0x01, 0xd0 <= marker && marker <= 0xd8:
			// A stuffed byte, or a marker without a segment.
			continue
		}
		if len(rest) < 2 {
			return errTruncated
		}
		size := int(binary.BigEndian.Uint16(rest))
		if size < 2 {
			return errors.New("is a broken jpeg image: a segment has no length")
		}
		if len(rest) < size {
			return errTruncated
		}
		scanned = scanned || marker == 0xda
		rest = rest[size:]
	}
}

// wholeWebP compares the length of the container with that of the file
// (https://developers.google.com/speed/webp/docs/riff_container).
func wholeWebP(data []byte) error {
	if int64(binary.LittleEndian.Uint32(data[4:]))+8 > int64(len(data)) {
		return errTruncated
	}
	return nil
}
