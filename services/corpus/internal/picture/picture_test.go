package picture_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/media"
	"nexus.internal/services/corpus/internal/picture"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	for format, data := range map[string][]byte{
		picture.PNG: media.PNG(31, 17), picture.JPEG: media.JPEG(31, 17), picture.WebP: media.WebP(31, 17),
	} {
		info, err := picture.Read(format, data)
		require.NoError(t, err, format)
		require.Equal(t, picture.Info{Format: format, Width: 31, Height: 17}, info)
		info, err = picture.Read(format, slices.Concat(data, []byte("something behind it")))
		require.NoError(t, err, format)
		require.Equal(t, 31, info.Width)
	}
}

// Every beginning of a file is a truncated file.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for format, data := range map[string][]byte{
		picture.PNG: media.PNG(31, 17), picture.JPEG: media.JPEG(31, 17), picture.WebP: media.WebP(31, 17),
	} {
		for end := range data {
			_, err := picture.Read(format, data[:end])
			require.Error(t, err, "%s of %d bytes", format, end)
		}
		_, err := picture.Read(format, data[:len(data)-2])
		require.ErrorContains(t, err, "is a truncated image", format)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	flipped := media.PNG(31, 17)
	flipped[len(flipped)-20] ^= 1
	for name, tc := range map[string]struct {
		format string
		data   []byte
		want   string
	}{
		"nothing":              {picture.PNG, nil, "is not a png image: its content does not begin like one"},
		"a text":               {picture.JPEG, []byte("The sea rises."), "is not a jpeg image"},
		"of another format":    {picture.PNG, media.JPEG(3, 3), "is not a png image: its content is jpeg"},
		"webp that is no webp": {picture.WebP, media.WAV(8000, 1, 10), "is not a webp image"},
		"a flipped bit":        {picture.PNG, flipped, "a checksum is wrong"},
		"claims far too much":  {picture.PNG, claiming(100_000, 100_000), "claims 100000 × 100000 pixels"},
		"claims nothing":       {picture.PNG, claiming(0, 5), "is a broken png image"},
		"claims the most":      {picture.PNG, claiming(1<<31-1, 1<<31-1), "png image"},
		"no pixels":            {picture.PNG, slices.Concat(media.PNG(3, 3)[:33], []byte("\x00\x00\x00\x00IEND\xaeB`\x82")), "it holds no pixels"},
		"an end at once":       {picture.JPEG, []byte("\xff\xd8\xff\xd9"), "jpeg image"},
		"a segment of nothing": {picture.JPEG, []byte("\xff\xd8\xff\xe0\x00\x00\xff\xd9"), "jpeg image"},
	} {
		_, err := picture.Read(tc.format, tc.data)
		require.ErrorContains(t, err, tc.want, name)
	}
}

// claiming is a whole file whose header claims a size.
func claiming(width, height uint32) []byte {
	data := bytes.Clone(media.PNG(3, 3))
	binary.BigEndian.PutUint32(data[16:], width)
	binary.BigEndian.PutUint32(data[20:], height)
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

func FuzzRead(f *testing.F) {
	for _, data := range [][]byte{
		nil, media.PNG(31, 17), media.JPEG(31, 17), media.WebP(31, 17), claiming(100_000, 100_000), media.JPEG(3, 3)[:200],
	} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []string{picture.PNG, picture.JPEG, picture.WebP} {
			info, err := picture.Read(format, data)
			if err != nil {
				require.Empty(t, info)
				continue
			}
			require.Equal(t, format, info.Format)
			require.Positive(t, info.Width)
			require.Positive(t, info.Height)
			require.LessOrEqual(t, int64(info.Width)*int64(info.Height), int64(picture.MaxPixels))
		}
	})
}
