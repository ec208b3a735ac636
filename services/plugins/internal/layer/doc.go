// Package layer computes the nine baseline analysis layers of a text: token,
// morphology, syntax, semantics, pragmatics, discourse, sociolinguistics,
// rhetoric and semiotic.
//
// Everything here is a pure function of the text and its modality: the same
// input gives the same output on every machine, an empty text gives zeros, and
// the time taken grows linearly with the length of the text. Counting is by
// Unicode code points, never bytes. Ratios, averages and scores are rounded to
// four decimals, halves away from zero. Ranked lists are ordered by count,
// largest first, and then by word in code point order.
//
// The word lists are English. Texts in other languages and scripts are counted
// correctly but seldom match a marker; scripts that put no space between words
// yield one word per unbroken run of letters.
//
// What does not belong here: choosing who computes a layer (package plugin),
// fetching texts, storing results.
package layer
