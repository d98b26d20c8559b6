package main

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	"charm.land/bubbles/v2/viewport"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	kad "github.com/go-kad/kad/host"
)

const (
	// maxShown bounds the lines that a window keeps to scroll back to.
	maxShown = 1000

	// maxTyped bounds the characters of the line that is being typed.
	maxTyped = 8 * maxText

	// membersWidth is the width of the column of members. A window that is narrower than
	// wideWindow has a row of them in its place.
	membersWidth = 24
	wideWindow   = 60
)

// A view is what a window shows. It belongs to the loop of its program.
type view struct {
	*window

	width, height int
	network       networkState
	lines         []string // the last one came last
	fitted        bool     // the area has all lines, wrapped to the size
	members       map[string]kad.Via
	teller        teller
	area          viewport.Model // the part of the lines that is seen
	input         textinput.Model
}

// newView returns a view without a size.
func newView(w *window) *view {
	v := &view{window: w, network: "joining the network", members: make(map[string]kad.Via), area: viewport.New(), input: textinput.New()}
	v.input.Prompt = w.opts.nick + "> "
	v.input.CharLimit = maxTyped
	styles := v.input.Styles()
	styles.Cursor.Blink = false
	styles.Focused.Prompt = lipgloss.NewStyle().Bold(true)
	v.input.SetStyles(styles)
	return v
}

// Init implements [tea.Model].
func (v *view) Init() tea.Cmd { return tea.Batch(v.input.Focus(), v.next) }

// A batch is news that came together.
type batch []tea.Msg

// next waits for news.
func (v *view) next() tea.Msg {
	select {
	case first := <-v.news:
		list := batch{first}
		for len(list) < maxNews {
			select {
			case more := <-v.news:
				list = append(list, more)
			default:
				return list
			}
		}
		return list
	case <-v.closed:
		return nil
	}
}

// Update implements [tea.Model].
func (v *view) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		v.width, v.height, v.fitted = msg.Width, msg.Height, false
	case batch:
		for _, news := range msg {
			v.take(news)
		}
		cmd = v.next
	case tea.KeyPressMsg:
		cmd = v.press(msg)
	default:
		v.input, cmd = v.input.Update(msg)
	}
	if !v.fitted {
		v.fit()
	}
	return v, cmd
}

// press handles a key.
func (v *view) press(key tea.KeyPressMsg) (cmd tea.Cmd) {
	switch key.String() {
	case "ctrl+c":
		return tea.Quit
	case "ctrl+d":
		if v.input.Value() == "" {
			return tea.Quit
		}
		v.input, cmd = v.input.Update(key)
	case "enter":
		v.say()
	case "ctrl+y":
		v.add("* the line for a friend is in the clipboard, if your terminal allows that; without, --plain shows it in one piece")
		return tea.SetClipboard(v.invite())
	case "pgup":
		v.area.PageUp()
	case "pgdown":
		v.area.PageDown()
	default:
		v.input, cmd = v.input.Update(key)
	}
	return cmd
}

// say says the line that was typed, in pieces if it is long. What cannot be taken at once
// remains to be said.
func (v *view) say() {
	pieces := bufio.NewScanner(strings.NewReader(v.input.Value()))
	pieces.Split(splitLines)
	rest := ""
	for pieces.Scan() {
		text := cleanText(pieces.Text())
		switch {
		case rest != "":
			rest += pieces.Text()
		case text == "":
		default:
			select {
			case v.said <- text:
				v.add(v.opts.nick + ": " + text)
			default:
				rest = pieces.Text()
			}
		}
	}
	v.input.SetValue(rest)
	v.area.GotoBottom() // also if nothing was said
}

// take takes in news.
func (v *view) take(news tea.Msg) {
	switch news := news.(type) {
	case statusLine:
		for line := range strings.Lines(string(news)) {
			v.add(strings.TrimRight(line, "\n"))
		}
	case networkState:
		v.network = news
	case event:
		v.happened(news)
	}
}

// happened takes in an event of the room.
func (v *view) happened(e event) {
	switch e.kind {
	case eventLine:
		v.add(e.nick + ": " + e.text)
		return
	case eventJoined, eventVia:
		v.members[e.nick] = e.via
	case eventLeft:
		delete(v.members, e.nick)
	case eventRenamed:
		v.members[e.text] = v.members[e.nick]
		delete(v.members, e.nick)
	default: // it has words alone
	}
	if text := v.teller.words(e); text != "" {
		v.add("* " + text)
	}
}

// add adds a line below the others. If the last line was seen, the new one is.
func (v *view) add(line string) {
	v.lines, v.fitted = append(v.lines, line), false
	if more := len(v.lines) - maxShown; more > 0 {
		v.lines = slices.Delete(v.lines, 0, more)
	}
}

// narrow reports whether there is no room for a column of members.
func (v *view) narrow() bool { return v.width < wideWindow }

// fit fits the lines and the other parts of the view to its size.
func (v *view) fit() {
	v.fitted = true
	rows := v.height - 4 // without the head, two rules and the input
	width := v.width - membersWidth - 3
	if v.narrow() {
		rows, width = rows-1, v.width // and the members
	}
	follows := v.area.AtBottom()
	v.area.SetWidth(max(1, width))
	v.area.SetHeight(max(1, rows))
	wrapped := make([]string, len(v.lines))
	for i, line := range v.lines {
		style := lipgloss.NewStyle()
		if strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "    ") {
			style = style.Faint(true)
		}
		wrapped[i] = style.Render(lipgloss.Wrap(line, max(1, width), ""))
	}
	v.area.SetContent(strings.Join(wrapped, "\n"))
	if follows {
		v.area.GotoBottom()
	}
	v.input.SetWidth(max(1, v.width-lipgloss.Width(v.input.Prompt)-1))
}

// View implements [tea.Model].
func (v *view) View() tea.View {
	screen := tea.NewView(v.content())
	screen.AltScreen = true
	screen.WindowTitle = "chat: " + v.opts.room
	return screen
}

// content returns the rows of the view.
func (v *view) content() string {
	if v.width < 1 || v.height < 1 {
		return "" // the size is not known yet
	}
	if v.height < 7 { // too small for more
		return v.area.View() + "\n" + v.input.View()
	}
	one := lipgloss.NewStyle().MaxWidth(v.width).MaxHeight(1)
	rule := strings.Repeat("─", v.width)
	head := one.Bold(true).Render(fmt.Sprintf("%s · %s · %s", v.opts.room, v.opts.network, v.network))
	if !v.area.AtBottom() {
		rule = one.Render("── PgDn: newer lines " + rule)
	}
	if v.narrow() {
		return strings.Join([]string{head, one.Render(v.here()), strings.Repeat("─", v.width), v.area.View(), rule, v.input.View()}, "\n")
	}
	column := lipgloss.NewStyle().Width(membersWidth).MaxWidth(membersWidth).Height(v.area.Height()).MaxHeight(v.area.Height())
	bar := strings.TrimSuffix(strings.Repeat(" │ \n", v.area.Height()), "\n")
	body := lipgloss.JoinHorizontal(lipgloss.Top, v.area.View(), bar, column.Render(v.list()))
	return strings.Join([]string{head, strings.Repeat("─", v.width), body, rule, v.input.View()}, "\n")
}

// here returns the members on one row.
func (v *view) here() string {
	if len(v.members) == 0 {
		return "you are alone"
	}
	var parts []string
	for _, nick := range slices.Sorted(maps.Keys(v.members)) {
		parts = append(parts, nick+" "+v.members[nick].String())
	}
	return fmt.Sprintf("%d here: %s", len(parts)+1, strings.Join(parts, ", "))
}

// list returns the members, one a row.
func (v *view) list() string {
	const viaWidth = 8
	nick := lipgloss.NewStyle().Width(membersWidth - viaWidth - 1).MaxWidth(membersWidth - viaWidth - 1).MaxHeight(1)
	rows := []string{fmt.Sprintf("%d here", len(v.members)+1), nick.Render(v.opts.nick) + " you"}
	for _, name := range slices.Sorted(maps.Keys(v.members)) {
		rows = append(rows, nick.Render(name)+" "+v.members[name].String())
	}
	if most := v.area.Height(); len(rows) > most {
		rows = append(rows[:max(0, most-1)], fmt.Sprintf("and %d more", len(rows)-most+1))
	}
	return strings.Join(rows, "\n")
}
