package readme_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// licences are the ones that dependencies may have, each with a sentence of its text. Code under
// MPL-2.0 may be linked as it is; changes of it would have to be published.
var licences = []struct{ name, sentence string }{
	{"Apache-2.0", "Apache License"},
	{"Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"},
	{"MPL-2.0", "Mozilla Public License"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"MIT", "https://opensource.org/licenses/MIT"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"ISC", "Permission to use, copy, modify, and distribute this software for any purpose"},
	{"BSD", "Redistribution and use in source and binary forms"},
	{"Unlicense", "This is free and unencumbered software released into the public domain"},
}

// licencesIn returns the licences of the module in a folder.
func licencesIn(dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	file := regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)`)
	for _, e := range entries {
		if e.IsDir() || !file.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		words := strings.Join(strings.Fields(string(text)), " ")
		for _, l := range licences {
			if strings.Contains(words, l.sentence) && !slices.Contains(names, l.name) {
				names = append(names, l.name)
			}
		}
	}
	return names
}

// Each module that the packages and the programs link has a licence under which it may be used;
// what tests alone use does not matter. With -v, the list of all.
func TestLicences(t *testing.T) {
	const format = `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}`
	linked := func(packages ...string) []string {
		list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-f", format}, packages...)...)
		list.Dir = root
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		modules := strings.Split(strings.TrimSpace(string(out)), "\n")
		slices.Sort(modules)
		return slices.DeleteFunc(slices.Compact(modules), func(line string) bool { return strings.Count(line, " ") != 2 })
	}
	host := linked("./host")
	for _, line := range linked("./host/...", "./examples/...") {
		fields := strings.Fields(line)
		names := licencesIn(fields[2])
		if len(names) == 0 {
			t.Errorf("%s %s has no licence that is known", fields[0], fields[1])
		}
		by := "programs"
		if slices.Contains(host, line) {
			by = "host"
		}
		t.Logf("%-55s %-45s %-8s %s", fields[0], fields[1], by, strings.Join(names, " or "))
	}
	if len(host) < 20 {
		t.Errorf("host links %d modules; there are more", len(host))
	}
}

// SUPPORT.md names each linked module that had no release in the three years before the newest one
// that is linked, and no other.
func TestOldModules(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{with .Module}}{{with .Time}}{{$.Module.Path}} {{.Format "2006-01-02"}}{{end}}{{end}}`, "./host/...", "./examples/...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	released := make(map[string]time.Time)
	var newest time.Time
	for line := range strings.Lines(string(out)) {
		path, day, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		released[path] = at
		if at.After(newest) {
			newest = at
		}
	}
	var old []string
	for path, at := range released {
		if at.Before(newest.AddDate(-3, 0, 0)) {
			old = append(old, regexp.MustCompile(`^github\.com/|/v\d+$`).ReplaceAllString(path, ""))
		}
	}
	_, part, _ := strings.Cut(documents(t)["SUPPORT.md"], "**Dependencies.**")
	part, _, _ = strings.Cut(part, "**Support.**")
	var named []string
	for _, m := range regexp.MustCompile("`([^`]+/[^`]+)`").FindAllStringSubmatch(part, -1) {
		named = append(named, m[1])
	}
	slices.Sort(old)
	slices.Sort(named)
	if !slices.Equal(old, named) || len(old) == 0 {
		t.Errorf("SUPPORT.md names\n%v, without a release for three years are\n%v", named, old)
	}
}
