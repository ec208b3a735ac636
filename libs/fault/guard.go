package fault

import (
	"errors"
	"fmt"
	"runtime"
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

// PanicText is what may be said in a log of a panic: all of it where the Go runtime
// says it, and what kind of value it is otherwise: that may repeat what the code was
// given.
func PanicText(p any) string {
	var wrong runtime.Error
	if err, ok := p.(error); ok && errors.As(err, &wrong) {
		return wrong.Error()
	}
	return fmt.Sprintf("a value of type %T", p)
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
