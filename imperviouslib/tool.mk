# What the Makefile of each tool shares; included after Script.make, with PGM set.
# The library goes into etc/$(PGM): from beside the tool's folder when the suite is built, and from beside the original
# folder, which g.extension names in SOURCE_URL, when one tool is installed alone. Only the build needs it, not the install.
# The list of Python packages goes with it, for those who have nothing but the installed tools.
LIBRARY := $(firstword $(wildcard ../imperviouslib $(SOURCE_URL)/../imperviouslib))

default: script library

library: | $(ETCDIR)
	rm -rf $(ETCDIR)/imperviouslib
	cp -r $(LIBRARY) $(LIBRARY)/../requirements.txt $(ETCDIR)/
	find $(ETCDIR)/imperviouslib -name __pycache__ -prune -exec rm -rf {} +

# GRASS 8.4 asks a remote server while it makes a page and stops where there is none: then join the plain parts.
$(HTMLDIR)/$(PGM).html: $(PGM).html $(PGM).tmp.html | $(HTMLDIR)
	VERSION_NUMBER=$(GRASS_VERSION_NUMBER) VERSION_DATE=$(GRASS_VERSION_DATE) MODULE_TOPDIR=$(MODULE_TOPDIR) \
	$(PYTHON) $(GISBASE)/utils/mkhtml.py $(PGM) > $@ 2>/dev/null || sed -e '/<\/body>/d;/<\/html>/d' $(PGM).tmp.html $(PGM).html > $@

# GRASS 8.2 asks a remote server for the list of official addons once two tools are installed, unless this file is there.
install: addons_paths

addons_paths:
	test -e $(INST_DIR)/addons_paths.json || echo '{"tree": []}' > $(INST_DIR)/addons_paths.json

.PHONY: library addons_paths
