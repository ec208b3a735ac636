package resource

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Machine says what was measured on.
type Machine struct {
	// Cores is how many this process may use.
	Cores int
	// Model is the processor's name; "" where it is not known.
	Model string
	// Memory is what there is, in bytes; 0 where it is not known.
	Memory int64
	// System is operating system and architecture.
	System string
	// FileSystem is the kind of file system that holds the data; "" where it is
	// not known.
	FileSystem string
	// Go is the version of the compiler.
	Go string
}

// ThisMachine describes the machine and what it keeps dir on.
func ThisMachine(dir string) Machine {
	m := Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Model = parseModel(string(text))
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = parseKilobytes(string(text), "MemTotal:")
	}
	if text, err := os.ReadFile("/proc/mounts"); err == nil {
		m.FileSystem = parseMounts(string(text), dir)
	}
	return m
}

// InMemory reports whether the data lies in memory, where durability costs
// nothing and means nothing.
func (m Machine) InMemory() bool { return m.FileSystem == "tmpfs" || m.FileSystem == "ramfs" }

func parseModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// parseMounts finds the kind of the file system that dir is on: that of the
// longest mount point above it, and the last of several on one.
func parseMounts(mounts, dir string) string {
	kind, longest := "", 0
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		point := strings.ReplaceAll(fields[1], `\040`, " ")
		if len(point) >= longest && inside(dir, point) {
			kind, longest = fields[2], len(point)
		}
	}
	return kind
}

func inside(dir, point string) bool {
	rel, err := filepath.Rel(point, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
