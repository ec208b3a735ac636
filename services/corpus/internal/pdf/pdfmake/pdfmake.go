// Package pdfmake makes small PDF files for tests.
package pdfmake

import (
	"bytes"
	"fmt"
	"strings"
)

// File makes a file with a page for each text.
func File(pages ...string) []byte {
	contents := make([]string, len(pages))
	for i, text := range pages {
		escaped := strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`).Replace(text)
		contents[i] = fmt.Sprintf("BT /F1 12 Tf 72 720 Td (%s) Tj ET", escaped)
	}
	return build(contents, "", "", "")
}

// Raw makes a file of one page with a content of its own, and more entries in
// its page.
func Raw(content, more string) []byte { return build([]string{content}, "", more, "") }

// Packed makes a file of one page whose content is compressed.
func Packed(flate []byte) []byte {
	return build([]string{string(flate)}, "/Filter /FlateDecode ", "", "")
}

// Encrypted makes a file that asks for a password.
func Encrypted() []byte {
	secret := strings.Repeat("ab", 32)
	return build([]string{"BT ET"}, "", "", fmt.Sprintf(
		"/Encrypt << /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -44 >> /ID [<%s> <%s>] ", secret, secret, secret[:32], secret[:32]))
}

func build(contents []string, stream, page, trailer string) []byte {
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n")
	var offsets []int
	object := func(body string) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", len(offsets), body)
	}
	object("<< /Type /Catalog /Pages 2 0 R >>")
	kids := make([]string, len(contents))
	for i := range contents {
		kids[i] = fmt.Sprintf("%d 0 R", 4+2*i)
	}
	object(fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(contents), strings.Join(kids, " ")))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	for i, content := range contents {
		object(fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R %s>>", 5+2*i, page))
		object(fmt.Sprintf("<< %s/Length %d >>\nstream\n%s\nendstream", stream, len(content), content))
	}
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, trailer, start)
	return out.Bytes()
}
