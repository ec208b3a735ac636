package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"nexus.internal/bench/internal/private"
	"nexus.internal/bench/internal/report"
	"nexus.internal/bench/internal/resource"
	"nexus.internal/libs/contract"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "ingest:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(opts.dir, "nexus-bench-ingest-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	began := time.Now()
	m := &measurement{opts: opts, work: work, progress: stderr, run: report.Run{Command: opts.command(), Started: began, Machine: resource.ThisMachine(opts.dir)}}
	if err := m.measure(ctx); err != nil {
		return err
	}
	m.run.Took = time.Since(began)
	figures := m.markdown()
	if opts.results != "" {
		return report.Write(opts.results, figures)
	}
	_, err = io.WriteString(stdout, figures)
	return err
}

// ended is an ingest that has ended, and how long it took from the request sent
// to the answer read.
type ended struct {
	contract.IngestBatchResult
	took time.Duration
}

// measurement is one run of the program.
type measurement struct {
	opts     options
	work     string
	progress io.Writer
	run      report.Run
	others   float64

	server *private.Server
	bytes  int64
	// first and again are the mixed files, large the texts.
	first, again, large ended
	// reasons counts the files by what became of them.
	reasons map[string]int
	floors  floors
}

func (m *measurement) measure(ctx context.Context) (err error) {
	binary := m.opts.binary
	if binary == "" {
		binary = filepath.Join(m.work, "nexus")
		if err := private.Build(ctx, binary, private.Package); err != nil {
			return err
		}
	}
	root := filepath.Join(m.work, "corpus")
	for _, folder := range []string{"mixed", "texts"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o750); err != nil {
			return err
		}
	}
	if m.bytes, err = mixed(filepath.Join(root, "mixed"), m.opts.files, filepath.SplitList(m.opts.from)); err != nil {
		return err
	}
	if err := texts(filepath.Join(root, "texts"), m.opts.megabytes); err != nil {
		return err
	}
	m.server, err = private.Start(ctx, private.Options{Binary: binary, Dir: m.opts.dir, Settings: []string{"NEXUS_CORPUS_ROOT=" + root, "NEXUS_SYNC_WAIT_SECONDS=600"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.server.Stop(ctx)) }()
	pool, err := pgxpool.New(ctx, m.server.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pool.QueryRow(ctx, "SHOW server_version").Scan(&m.run.Postgres); err != nil {
		return fmt.Errorf("ask Postgres for its version: %w", err)
	}
	meter := resource.Meter{Servers: []int{m.server.PID, m.server.PostgresPID}, Trees: []bool{false, true}}
	before := meter.Read()
	if err := m.ingests(ctx); err != nil {
		return err
	}
	m.others, _ = meter.Read().Since(before).Others()
	m.floors, err = measureFloors(ctx, pool)
	return err
}

func (m *measurement) ingests(ctx context.Context) (err error) {
	if m.first, err = m.ingest(ctx, "mixed"); err != nil {
		return err
	}
	if m.again, err = m.ingest(ctx, "mixed"); err != nil {
		return err
	}
	if err := m.files(ctx, m.first.IngestJobID); err != nil {
		return err
	}
	if m.again.DocumentsUnchanged != m.first.DocumentsIngested || m.again.ProvenanceDigest != m.first.ProvenanceDigest {
		return fmt.Errorf("the second time %d documents are unchanged; %d were ingested", m.again.DocumentsUnchanged, m.first.DocumentsIngested)
	}
	m.large, err = m.ingest(ctx, "texts")
	return err
}

func (m *measurement) ingest(ctx context.Context, folder string) (ended, error) {
	var out ended
	began := time.Now()
	err := m.ask(ctx, http.MethodPost, "/api/v1/ingest/batch", map[string]any{"source_paths": []string{folder}}, &out.IngestBatchResult)
	out.took = time.Since(began)
	fmt.Fprintf(m.progress, "%s: %d ingested, %d unchanged, %d atoms within %s\n", folder, out.DocumentsIngested, out.DocumentsUnchanged, out.AtomsCreated,
		out.took.Round(time.Millisecond))
	return out, err
}

// files reads all files of an ingest, page by page.
func (m *measurement) files(ctx context.Context, id string) error {
	m.reasons = map[string]int{}
	for offset := 0; ; {
		var page contract.IngestJob
		if err := m.ask(ctx, http.MethodGet, fmt.Sprintf("/api/v1/ingest/jobs/%s?offset=%d", id, offset), nil, &page); err != nil {
			return err
		}
		for _, f := range page.Files {
			reason := string(f.Status)
			if f.Error != nil {
				reason += ": " + *f.Error
			}
			if f.Warning != nil {
				reason += ", with a warning"
			}
			m.reasons[reason]++
		}
		if offset = page.FilesNext; offset == 0 {
			return nil
		}
	}
}

func (m *measurement) ask(ctx context.Context, method, path string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+m.server.HTTPAddr+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("X-Nexus-API-Key", m.server.Key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
