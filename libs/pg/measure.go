package pg

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"nexus.internal/libs/metrics"
)

// waiting counts who waits for a connection. It traces nothing.
type waiting struct{ now atomic.Int64 }

// TraceQueryStart implements pgx.QueryTracer.
func (w *waiting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (w *waiting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceAcquireStart implements pgxpool.AcquireTracer.
func (w *waiting) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	w.now.Add(1)
	return ctx
}

// TraceAcquireEnd implements pgxpool.AcquireTracer.
func (w *waiting) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {
	w.now.Add(-1)
}

// beside adds it to what traces already.
func (w *waiting) beside(tracer pgx.QueryTracer) pgx.QueryTracer {
	if tracer == nil {
		return w
	}
	return multitracer.New(tracer, w)
}

// Measure tells of the pool from now on.
func (db *DB) Measure(set *metrics.Set) {
	gauge := func(name string, read func(s *pgxpool.Stat) float64) {
		set.Observe(name, func(say metrics.Say) { say(read(db.Pool.Stat())) })
	}
	gauge(metrics.PoolSize, func(*pgxpool.Stat) float64 { return float64(db.size) })
	gauge(metrics.PoolMax, func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) })
	gauge(metrics.PoolCheckedOut, func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) })
	gauge(metrics.PoolIdle, func(s *pgxpool.Stat) float64 { return float64(s.IdleConns()) })
	gauge(metrics.PoolOverflow, func(s *pgxpool.Stat) float64 { return float64(max(0, s.TotalConns()-int32(db.size))) }) //nolint:gosec // the settings bound it
	gauge(metrics.PoolWaiting, func(*pgxpool.Stat) float64 { return float64(db.waiting.now.Load()) })
	gauge(metrics.PoolWaits, func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) })
	gauge(metrics.PoolWaited, func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() })
}
