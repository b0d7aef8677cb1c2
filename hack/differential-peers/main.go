// The cyclonus side of the differential test: its generated cases and its own evaluator, as lines of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/sirupsen/logrus"
)

func main() {
	logrus.SetLevel(logrus.ErrorLevel)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: cyclonus cases | answer | time")
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	switch args[0] {
	case "cases":
		all, err := generatedCases()
		if err != nil {
			return err
		}
		for _, one := range all {
			if err := encoder.Encode(one); err != nil {
				return err
			}
		}
		return nil
	case "answer":
		return eachCase(func(one *Case) error {
			one.By, one.Answers = "cyclonus", answers(one)
			return encoder.Encode(one)
		})
	case "time":
		return eachCase(func(one *Case) error {
			start := time.Now()
			asked := len(answers(one))
			fmt.Fprintf(out, "%s\t%d\t%.3f\n", one.Name, asked, time.Since(start).Seconds())
			return nil
		})
	}
	return fmt.Errorf("%q is not cases, answer or time", args[0])
}

func eachCase(do func(*Case) error) error {
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	for decoder.More() {
		var one Case
		if err := decoder.Decode(&one); err != nil {
			return err
		}
		if err := do(&one); err != nil {
			return err
		}
	}
	return nil
}
