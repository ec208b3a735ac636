package fault

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Panicked is a panic that became an error.
type Panicked struct {
	Value any
	// Stack is where it happened, for the log.
	Stack []byte
}

// Error implements error.
func (p *Panicked) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Guard runs fn and turns a panic into an error. Every goroutine that works on what
// outsiders sent runs it under one: an input nobody thought of costs itself and not
// the process.
func Guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Panicked{Value: p, Stack: debug.Stack()}
		}
	}()
	return fn()
}

// Stack is where the panic happened that err was, for the log; nil for any other
// error.
func Stack(err error) []byte {
	var panicked *Panicked
	if errors.As(err, &panicked) {
		return panicked.Stack
	}
	return nil
}
