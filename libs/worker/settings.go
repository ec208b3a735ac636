package worker

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// maxName is the longest name of a worker, in bytes.
const maxName = 255

// Settings are what all workers of a process share.
type Settings struct {
	Name         string `env:"WORKER_NAME" doc:"The identity of this process as a worker. Default: host name, process id and a random part."`
	LeaseSeconds int    `env:"WORKER_LEASE_SECONDS" envDefault:"30" doc:"How long a worker may stay silent before its job is given to another, in seconds."`
	GraceSeconds int    `env:"WORKER_GRACE_SECONDS" envDefault:"20" doc:"How long running jobs may take to end when the process stops, in seconds; then they are given back."`
	Apart        bool   `env:"WORKERS_APART" envDefault:"false" doc:"Whether jobs are run by \"nexus worker\" processes only; corpus and plugins then answer questions and run no jobs."`
}

// Validate implements config.Validator.
func (s Settings) Validate() error {
	var errs []error
	if len(s.Name) > maxName || strings.ContainsFunc(s.Name, func(c rune) bool { return !unicode.IsPrint(c) }) {
		errs = append(errs, fmt.Errorf("NEXUS_WORKER_NAME is too long or has characters that cannot be printed: want at most %d bytes", maxName))
	}
	if s.LeaseSeconds < 1 || s.LeaseSeconds > 3600 {
		errs = append(errs, fmt.Errorf("NEXUS_WORKER_LEASE_SECONDS is %d: want 1 to 3600", s.LeaseSeconds))
	}
	if s.GraceSeconds < 0 || s.GraceSeconds > 3600 {
		errs = append(errs, fmt.Errorf("NEXUS_WORKER_GRACE_SECONDS is %d: want 0 to 3600", s.GraceSeconds))
	}
	return errors.Join(errs...)
}

// Lease is how long a claim lasts without a heartbeat.
func (s Settings) Lease() time.Duration { return time.Duration(s.LeaseSeconds) * time.Second }

// Config is a worker's configuration under these settings.
func (s Settings) Config(queue string, concurrency int) Config {
	return Config{
		Name: s.Name, Queue: queue, Concurrency: concurrency,
		Lease: s.Lease(), Grace: time.Duration(s.GraceSeconds) * time.Second,
	}
}
