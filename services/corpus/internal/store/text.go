package store

// nullable returns nil, which is stored as NULL, for the empty string.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
