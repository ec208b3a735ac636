package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// largest is the largest file that is taken from the machine.
const largest = 1 << 20

// mixed fills a folder with count files: one in ten is made here, the others are
// copies of files in the folders from. It returns how many bytes there are.
func mixed(folder string, count int, from []string) (int64, error) {
	made := count / 10
	var total int64
	for i := range made {
		name, data, err := file(i)
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			return 0, err
		}
		total += int64(len(data))
	}
	paths, err := found(from, count-made)
	if err != nil {
		return 0, err
	}
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		name := filepath.Base(path)
		if filepath.Ext(name) == "" {
			name += ".txt" // copyright, README and the like
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%05d-%s", i, name)), data, 0o600); err != nil {
			return 0, err
		}
		total += int64(len(data))
	}
	return total, nil
}

// found lists files that are not empty and not too large, in the order of their
// paths.
func found(from []string, count int) ([]string, error) {
	var paths []string
	for _, folder := range from {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return nil // what cannot be read is not taken
			}
			info, err := entry.Info()
			if err == nil && info.Size() > 0 && info.Size() <= largest {
				paths = append(paths, path)
			}
			if len(paths) == count {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for files in %s: %w", folder, err)
		}
		if len(paths) == count {
			return paths, nil
		}
	}
	return nil, fmt.Errorf("there are %d files in %s; %d are needed", len(paths), strings.Join(from, ", "), count)
}

func file(i int) (name string, data []byte, err error) {
	var out bytes.Buffer
	picture := image.NewGray(image.Rect(0, 0, 16+i, 32+i))
	switch i % 4 {
	case 0:
		return fmt.Sprintf("made-%04d.pdf", i), pdfOf(1 + i%20), nil
	case 1:
		err = png.Encode(&out, picture)
		return fmt.Sprintf("made-%04d.png", i), out.Bytes(), err
	case 2:
		err = jpeg.Encode(&out, picture, nil)
		return fmt.Sprintf("made-%04d.jpg", i), out.Bytes(), err
	default:
		return fmt.Sprintf("made-%04d.wav", i), wavOf(1000 * (i + 1)), nil
	}
}

// pdfOf makes a PDF without a table of its objects, which readers make themselves.
func pdfOf(pages int) []byte {
	var out bytes.Buffer
	var kids []string
	for p := range pages {
		content := "BT /F1 12 Tf 72 720 Td 14 TL " + strings.Repeat("("+line(uint64(p))+") Tj T* ", 40) + "ET"
		fmt.Fprintf(&out, "%d 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>\nendobj\n"+
			"%d 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n", 4+2*p, 5+2*p, 5+2*p, len(content), content)
		kids = append(kids, fmt.Sprintf("%d 0 R", 4+2*p))
	}
	return fmt.Appendf(nil, "%%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Count %d /Kids [%s] >>\nendobj\n"+
		"3 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n%strailer\n<< /Size %d /Root 1 0 R >>\n%%%%EOF\n",
		pages, strings.Join(kids, " "), out.String(), 4+2*pages)
}

func wavOf(samples int) []byte {
	le := binary.LittleEndian
	out := le.AppendUint32([]byte("RIFF"), uint32(36+2*samples))
	out = append(out, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	out = le.AppendUint32(le.AppendUint32(out, 8000), 16_000)
	out = append(out, "\x02\x00\x10\x00data"...)
	return append(le.AppendUint32(out, uint32(2*samples)), make([]byte, 2*samples)...)
}

// line is a sentence of words by chance, the same for the same seed.
func line(seed uint64) string {
	const letters = "etaoinshrdlu"
	chance := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, 8+chance.IntN(8))
	for i := range words {
		word := make([]byte, 2+chance.IntN(8))
		for k := range word {
			word[k] = letters[chance.IntN(len(letters))]
		}
		words[i] = string(word)
	}
	return strings.Join(words, " ") + "."
}

// texts fills a folder with files of 4 MB of sentences in paragraphs.
func texts(folder string, megabytes int) error {
	const size = 4 << 20
	seed := uint64(1)
	for i := range (megabytes + 3) / 4 {
		var out bytes.Buffer
		for out.Len() < size {
			out.WriteString(line(seed))
			out.WriteByte('\n')
			if seed++; seed%6 == 0 {
				out.WriteByte('\n')
			}
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("text-%02d.md", i)), out.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}
