package resource

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of /proc's processor times: USER_HZ, 100 on every Linux that
// Go runs on.
const tick = 10 * time.Millisecond

// Usage is processor time used so far.
type Usage struct {
	// Client is this process.
	Client time.Duration
	// Servers are the processes of a Meter, in its order.
	Servers []time.Duration
	// Busy is everything the machine did; Total is its time, all cores together,
	// and 0 where there is no /proc.
	Busy, Total time.Duration
}

// Meter reads the processor time of this process and of servers.
type Meter struct {
	// Servers are process ids. Those of Trees are counted with their children.
	Servers []int
	// Trees tells for each of Servers whether its children count.
	Trees []bool
}

// Read reads the meter.
func (m Meter) Read() Usage {
	u := Usage{Client: own()}
	for i, pid := range m.Servers {
		u.Servers = append(u.Servers, processorTime(pid, m.Trees[i]))
	}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		u.Busy, u.Total = parseMachine(string(text))
	}
	return u
}

// Since is what was used between an earlier reading and this one.
func (u Usage) Since(earlier Usage) Usage {
	d := Usage{Client: u.Client - earlier.Client, Busy: u.Busy - earlier.Busy, Total: u.Total - earlier.Total}
	for i := range u.Servers {
		d.Servers = append(d.Servers, u.Servers[i]-earlier.Servers[i])
	}
	return d
}

// Others is the share of the machine, from 0 to 1, that neither this process
// nor the servers used; ok is false where that is not known.
func (u Usage) Others() (share float64, ok bool) {
	if u.Total <= 0 {
		return 0, false
	}
	others := u.Busy - u.Client
	for _, s := range u.Servers {
		others -= s
	}
	return max(0, float64(others)/float64(u.Total)), true
}

func own() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// stat is what is used of /proc/<pid>/stat (proc_pid_stat(5)).
type stat struct {
	parent int
	// used is the time of the process itself, reaped that of its children that
	// have ended and been waited for.
	used, reaped time.Duration
}

// parseStat reads a line of /proc/<pid>/stat. The name in it may hold anything,
// so the fields are counted from the last parenthesis.
func parseStat(line string) (stat, error) {
	name := strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[name+1:])
	if name < 0 || len(fields) < 15 {
		return stat{}, fmt.Errorf("process status %q is cut short", line)
	}
	// Fields 4 and 14 to 17 of the whole line.
	var numbers [5]int64
	for i, field := range []string{fields[1], fields[11], fields[12], fields[13], fields[14]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("process status %q: %w", line, err)
		}
		numbers[i] = n
	}
	return stat{
		parent: int(numbers[0]), used: time.Duration(numbers[1]+numbers[2]) * tick, reaped: time.Duration(numbers[3]+numbers[4]) * tick,
	}, nil
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return parseStat(string(text))
}

// processorTime is the time of one process, or of it and all its children,
// those that have ended included. A process that is gone has used none.
func processorTime(pid int, tree bool) time.Duration {
	if pid <= 0 || runtime.GOOS != "linux" {
		return 0
	}
	root, err := readStat(pid)
	if err != nil {
		return 0
	}
	if !tree {
		return root.used
	}
	total := root.used + root.reaped
	for _, child := range descendants(pid, parents()) {
		if s, err := readStat(child); err == nil {
			total += s.used
		}
	}
	return total
}

// parents maps every process to its parent.
func parents() map[int]int {
	out := map[int]int{}
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return out
	}
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			out[pid] = s.parent
		}
	}
	return out
}

func descendants(root int, parents map[int]int) []int {
	family := []int{root}
	for i := 0; i < len(family); i++ {
		for pid, parent := range parents {
			if parent == family[i] {
				family = append(family, pid)
			}
		}
	}
	slices.Sort(family[1:])
	return family[1:]
}

// parseMachine reads the first line of /proc/stat (proc_stat(5)). Busy leaves
// out what the machine waited for: idle, disks, and the host's other guests.
func parseMachine(text string) (busy, total time.Duration) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0
		}
		d := time.Duration(n) * tick
		total += d
		const idle, ioWait, steal = 3, 4, 7
		if i != idle && i != ioWait && i != steal {
			busy += d
		}
	}
	return busy, total
}
