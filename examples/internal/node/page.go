package node

import (
	"embed"
	"net/http"
)

// pageFiles are the live page: it asks the API, and reads its events.
//
//go:embed page
var pageFiles embed.FS

// pagePaths are the paths of the page, and the file of each.
func pagePaths() map[string]string {
	return map[string]string{"/{$}": "page/index.html", "/page/page.css": "page/page.css", "/page/page.js": "page/page.js"}
}

// servePage answers with a file of the page. The page may load what is on this node alone.
func servePage(file string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, pageFiles, file)
	})
}
