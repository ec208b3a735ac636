package contract

// LogLevelRequest asks services how much they log, or tells them to log more or
// less. It holds until the process ends or reads its settings again.
type LogLevelRequest struct {
	// Service is empty for all.
	Service string `json:"service,omitempty"`
	// Level is trace, debug, info, warn or error; empty changes nothing.
	Level string `json:"level,omitempty"`
}

// LogLevel is the log level of one service in one process.
type LogLevel struct {
	Service string `json:"service"`
	// Instance is the identity of the process as a worker.
	Instance string `json:"instance"`
	Level    string `json:"level"`
}

// LogLevels are those of all services that answered.
type LogLevels struct {
	Services []LogLevel `json:"services"`
}

// AreaLog is the area of events about what is logged. Its event WhatLevel says that
// somebody has changed the log level.
const (
	AreaLog   = "log"
	WhatLevel = "level"
)

// LogEvents matches the events of AreaLog.
const LogEvents = "nexus.events." + AreaLog + ".>"

// AllServices stands for the service where a change concerns all of them.
const AllServices = "all"

// LogLevelChange is the data of a level event.
type LogLevelChange struct {
	// Service is AllServices or the one it concerns.
	Service string `json:"service"`
	Level   string `json:"level"`
}
