//go:build !linux

package cluster

import "syscall"

// attributes keep Ctrl-C in the terminal from a program.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
