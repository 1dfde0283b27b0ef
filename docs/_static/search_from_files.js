// Excerpts of results are fetched from other pages, which browsers refuse to pages opened as files: titles are shown then.
if (window.location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
