package resource

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Memory is what a process holds, in bytes; 0 where it is not known.
type Memory struct {
	// Resident counts every page in memory, shared ones too.
	Resident int64
	// Proportional counts a page that n processes share as an n-th.
	Proportional int64
}

// sampleEvery is how often a Watch looks.
const sampleEvery = 200 * time.Millisecond

// MemoryOf reads the memory of one process. It walks the page tables: call it
// outside what is timed.
func MemoryOf(pid int) Memory {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return Memory{}
	}
	return Memory{Resident: parseKilobytes(string(text), "Rss:"), Proportional: parseKilobytes(string(text), "Pss:")}
}

// PeakResident watches a process until ctx ends and sends the most it was seen
// to hold, in bytes.
func PeakResident(ctx context.Context, pid int) <-chan int64 {
	out := make(chan int64, 1)
	go func() {
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		peak := resident(pid)
		for {
			select {
			case <-ticker.C:
				peak = max(peak, resident(pid))
			case <-ctx.Done():
				out <- max(peak, resident(pid))
				return
			}
		}
	}()
	return out
}

// resident is the cheap reading, without a walk of the page tables.
func resident(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	return parseKilobytes(string(text), "VmRSS:")
}

// parseKilobytes finds a line "name  123 kB" and returns its bytes, 0 when there
// is none.
func parseKilobytes(text, name string) int64 {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		kilobytes, err := strconv.ParseInt(number, 10, 64)
		if err != nil || strings.TrimSpace(unit) != "kB" {
			return 0
		}
		return kilobytes << 10
	}
	return 0
}
