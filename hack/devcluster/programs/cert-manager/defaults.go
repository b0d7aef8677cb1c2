package main

import "k8s.io/apimachinery/pkg/runtime"

// defaults fills a configuration with what upstream's scheme says when nothing
// is set.
func defaults(scheme *runtime.Scheme, versioned runtime.Object, into any) error {
	scheme.Default(versioned)
	return scheme.Convert(versioned, into, nil)
}
