// Package events reads the events of no-op jobs as any reader could, and says
// how many jobs changed or which one did.
package events
