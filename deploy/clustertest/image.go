package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nobody is the user of all images; see deploy/Dockerfile.
const nobody = 65532

// build compiles a static program of a module. version is linked into it.
func build(ctx context.Context, module, output, version string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", output, ".")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", module, err, out)
	}
	return nil
}

// archive writes an image of a program, and of the folder corpus where that is not
// empty, as `docker save` does.
func archive(path, ref, program, entry, corpus string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return fmt.Errorf("name an image: %w", err)
	}
	content, err := contents(program, entry, corpus)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		return fmt.Errorf("make a layer: %w", err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = "amd64", "linux"
	file.Config = v1.Config{
		Entrypoint: []string{entry}, User: fmt.Sprintf("%d:%d", nobody, nobody), WorkingDir: "/data",
		Env: []string{"NEXUS_DATA_DIR=/data", "NEXUS_CORPUS_ROOT=/corpus"},
	}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	if err := tarball.WriteToFile(path, tag, image); err != nil {
		return fmt.Errorf("write an image: %w", err)
	}
	return nil
}

// contents is the layer: the program, a folder for data, and the corpus.
func contents(program, entry, corpus string) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range []string{"data", "tmp"} {
		if err := w.WriteHeader(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: nobody, Gid: nobody}); err != nil {
			return nil, fmt.Errorf("write a layer: %w", err)
		}
	}
	if err := add(w, program, entry, 0o755); err != nil {
		return nil, err
	}
	if corpus != "" {
		err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			inside, err := filepath.Rel(corpus, path)
			if err != nil {
				return err
			}
			return add(w, path, filepath.Join("corpus", inside), 0o644)
		})
		if err != nil {
			return nil, fmt.Errorf("add the corpus: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write a layer: %w", err)
	}
	return buf.Bytes(), nil
}

func add(w *tar.Writer, path, inside string, mode int64) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read a file of an image: %w", err)
	}
	if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(filepath.ToSlash(inside), "/"), Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(data))}); err != nil {
		return fmt.Errorf("write a layer: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write a layer: %w", err)
	}
	return nil
}
