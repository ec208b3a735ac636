package sound_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
	"github.com/mewkiz/flac/meta"
	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/media"
	"nexus.internal/services/corpus/internal/sound"
)

// flacOf makes a sound of silence that claims a number of samples.
func flacOf(tb testing.TB, rate uint32, channels, samples int, claimed uint64) []byte {
	tb.Helper()
	const block = 4096
	var out bytes.Buffer
	enc, err := flac.NewEncoder(&out, &meta.StreamInfo{
		BlockSizeMin: block, BlockSizeMax: block, SampleRate: rate, NChannels: uint8(channels), BitsPerSample: 16, NSamples: claimed,
	})
	require.NoError(tb, err)
	for range samples / block {
		f := &frame.Frame{Header: frame.Header{
			HasFixedBlockSize: true, BlockSize: block, SampleRate: rate, Channels: frame.Channels(channels - 1), BitsPerSample: 16,
		}}
		for range channels {
			f.Subframes = append(f.Subframes, &frame.Subframe{
				SubHeader: frame.SubHeader{Pred: frame.PredConstant}, Samples: make([]int32, block), NSamples: block,
			})
		}
		require.NoError(tb, enc.WriteFrame(f))
	}
	require.NoError(tb, enc.Close())
	return out.Bytes()
}

func TestRead(t *testing.T) {
	t.Parallel()
	silence := media.MP3(100)
	tagged := slices.Concat([]byte("ID3\x04\x00\x00\x00\x00\x02\x00"), make([]byte, 256), silence, []byte("TAG"), make([]byte, 125))
	table := bytes.Clone(media.MP3(1))
	copy(table[36:], "Xing")
	for name, tc := range map[string]struct {
		format string
		data   []byte
		want   sound.Info
	}{
		"wav":                          {sound.WAV, media.WAV(8000, 2, 12_000), sound.Info{Format: sound.WAV, Seconds: 1.5, Rate: 8000, Channels: 2}},
		"wav of no length":             {sound.WAV, media.WAV(8000, 2, 0), sound.Info{Format: sound.WAV, Seconds: 0, Rate: 8000, Channels: 2}},
		"flac":                         {sound.FLAC, flacOf(t, 44_100, 2, 8192, 8192), sound.Info{Format: sound.FLAC, Seconds: 8192. / 44_100, Rate: 44_100, Channels: 2}},
		"mp3":                          {sound.MP3, silence, sound.Info{Format: sound.MP3, Seconds: 100 * 1152. / 44_100, Rate: 44_100, Channels: 2}},
		"mp3 with tags":                {sound.MP3, tagged, sound.Info{Format: sound.MP3, Seconds: 100 * 1152. / 44_100, Rate: 44_100, Channels: 2}},
		"mp3 with a table of contents": {sound.MP3, slices.Concat(table, silence), sound.Info{Format: sound.MP3, Seconds: 100 * 1152. / 44_100, Rate: 44_100, Channels: 2}},
		"mp3 with padding":             {sound.MP3, slices.Concat(make([]byte, 100), silence), sound.Info{Format: sound.MP3, Seconds: 100 * 1152. / 44_100, Rate: 44_100, Channels: 2}},
		"mp3 of one frame":             {sound.MP3, media.MP3(1), sound.Info{Format: sound.MP3, Seconds: 1152. / 44_100, Rate: 44_100, Channels: 2}},
	} {
		got, err := sound.Read(tc.format, tc.data)
		require.NoError(t, err, name)
		require.InDelta(t, tc.want.Seconds, got.Seconds, 1e-9, name)
		got.Seconds = tc.want.Seconds
		require.Equal(t, tc.want, got, name)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	lying := func(at int, value uint32) []byte {
		data := media.WAV(8000, 2, 100)
		binary.LittleEndian.PutUint32(data[at:], value)
		return data
	}
	for name, tc := range map[string]struct {
		format string
		data   []byte
		want   string
	}{
		"nothing":                       {sound.WAV, nil, "is not a wav sound: its content does not begin like one"},
		"a text":                        {sound.FLAC, []byte("The sea rises."), "is not a flac sound"},
		"a text that is to be mp3":      {sound.MP3, []byte(strings.Repeat("The sea rises. ", 1000)), "is not an mp3 sound"},
		"an image that is to be mp3":    {sound.MP3, media.PNG(100, 100), "is not an mp3 sound"},
		"wav that is to be mp3":         {sound.MP3, media.WAV(8000, 2, 100), "is not a mp3 sound: its content is wav"},
		"mp3 that is to be wav":         {sound.WAV, media.MP3(10), "is not a wav sound: its content is mp3"},
		"wav that claims more sound":    {sound.WAV, lying(40, 1<<31), "whose header lies"},
		"wav that claims the most":      {sound.WAV, lying(40, math.MaxUint32), "whose header lies"},
		"wav of another rate":           {sound.WAV, lying(24, 96_000), "whose header lies"},
		"wav of no bytes a second":      {sound.WAV, lying(28, 0), "whose header lies"},
		"wav without samples":           {sound.WAV, media.WAV(8000, 2, 100)[:36], "it holds no description or no samples"},
		"wav whose end is gone":         {sound.WAV, media.WAV(8000, 2, 100)[:200], "that is truncated"},
		"flac that claims more sound":   {sound.FLAC, flacOf(t, 44_100, 2, 8192, 1<<35), "whose header lies"},
		"flac without frames":           {sound.FLAC, flacOf(t, 44_100, 2, 0, 8192), "is a broken flac sound"},
		"flac whose header is cut":      {sound.FLAC, flacOf(t, 44_100, 2, 8192, 8192)[:30], "is a broken flac sound"},
		"flac that does not say":        {sound.FLAC, flacOf(t, 44_100, 2, 8192, 0)[:42], "flac sound"},
		"mp3 whose end is gone":         {sound.MP3, media.MP3(10)[:4000], "is a truncated mp3 sound"},
		"mp3 with a hole":               {sound.MP3, slices.Concat(media.MP3(10), bytes.Repeat([]byte("hole"), 5000), media.MP3(10)), "in the middle of it"},
		"mp3 that is a tag and no more": {sound.MP3, []byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f"), "is not an mp3 sound"},
	} {
		got, err := sound.Read(tc.format, tc.data)
		require.ErrorContains(t, err, tc.want, name)
		require.Empty(t, got, name)
	}
}

func FuzzRead(f *testing.F) {
	for _, data := range [][]byte{
		nil, media.WAV(8000, 2, 100), media.MP3(4), flacOf(f, 8000, 1, 4096, 4096),
		[]byte("ID3\x04\x00\x00\x00\x00\x02\x00"), media.WAVFormat(8000, 2),
	} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []string{sound.WAV, sound.MP3, sound.FLAC} {
			info, err := sound.Read(format, data)
			if err != nil {
				require.Empty(t, info)
				continue
			}
			require.Equal(t, format, info.Format)
			require.GreaterOrEqual(t, info.Seconds, 0.0)
			require.False(t, math.IsInf(info.Seconds, 0) || math.IsNaN(info.Seconds))
			require.Positive(t, info.Rate)
			require.Positive(t, info.Channels)
		}
	})
}
