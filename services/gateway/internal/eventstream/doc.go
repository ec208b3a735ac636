// Package eventstream lets many clients follow the event stream: each from the
// place it asks for, through what is stored, into what happens now, without a
// gap and without the broker knowing how many they are.
//
// How a client is let in, and what HTTP looks like, do not belong here.
package eventstream
