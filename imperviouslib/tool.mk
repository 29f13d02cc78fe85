# Rules shared by the Makefiles of the tools; included after Script.make, with PGM set.
# The build copies the library into etc/$(PGM). It lies beside the tool's folder when the suite is built. When g.extension installs one tool
# alone, it lies beside the original folder, which SOURCE_URL names. The install step does not need it.
# The lists of Python packages are copied with it, for users who have only the installed tools.
LIBRARY := $(firstword $(wildcard ../imperviouslib $(SOURCE_URL)/../imperviouslib))

default: script library

library: | $(ETCDIR)
	rm -rf $(ETCDIR)/imperviouslib
	cp -r $(LIBRARY) $(LIBRARY)/../requirements.txt $(LIBRARY)/../requirements-cluster.txt $(ETCDIR)/
	find $(ETCDIR)/imperviouslib -name __pycache__ -prune -exec rm -rf {} +

# GRASS 8.4 asks a remote server while it makes a page and stops if it gets no answer. Then the plain parts are joined.
$(HTMLDIR)/$(PGM).html: $(PGM).html $(PGM).tmp.html | $(HTMLDIR)
	VERSION_NUMBER=$(GRASS_VERSION_NUMBER) VERSION_DATE=$(GRASS_VERSION_DATE) MODULE_TOPDIR=$(MODULE_TOPDIR) \
	$(PYTHON) $(GISBASE)/utils/mkhtml.py $(PGM) > $@ 2>/dev/null || sed -e '/<\/body>/d;/<\/html>/d' $(PGM).tmp.html $(PGM).html > $@

# GRASS 8.5 makes a Markdown page too, in the same way.
ifneq ($(MDDIR),)
$(MDDIR)/source/$(PGM).md: $(PGM).md $(PGM).tmp.md | $(MDDIR)
	VERSION_NUMBER=$(GRASS_VERSION_NUMBER) VERSION_DATE=$(GRASS_VERSION_DATE) MODULE_TOPDIR=$(MODULE_TOPDIR) \
	$(PYTHON) $(GISBASE)/utils/mkmarkdown.py $(PGM) > $@ 2>/dev/null || cat $(PGM).tmp.md $(PGM).md > $@
endif

# GRASS 8.2 asks a remote server for the list of official addons as soon as two tools are installed, unless this file exists.
install: addons_paths

addons_paths:
	test -e $(INST_DIR)/addons_paths.json || echo '{"tree": []}' > $(INST_DIR)/addons_paths.json

.PHONY: library addons_paths
