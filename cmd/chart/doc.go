// Package chart draws the pictures of reports as SVG: lines over time with marks and
// shaded times, and bars beside each other. It writes plain SVG 1.1 without scripts or
// fonts of its own, which browsers and code hosts show on light and dark pages.
//
// It is no plotting library: two kinds of picture, one look, no legend that could lie
// over the data, nothing to set but what is drawn.
package chart
