# g.extension builds the suite from here (it sets MODULE_TOPDIR); for people there are the targets of `make help`.
# SUBDIRS is the one list of the tools: install.sh, the tests and the documentation read it here.
TOOLSET = r.impervious
SUBDIRS = r.s2.fetch r.s2.yearly r.s2.ard r.unet.train r.unet.predict r.impervious.sample r.impervious.change

ifdef MODULE_TOPDIR

include $(MODULE_TOPDIR)/include/Make/Dir.make

default: parsubdirs $(HTMLDIR)/$(TOOLSET).html

$(HTMLDIR)/$(TOOLSET).html: $(TOOLSET).html | $(HTMLDIR)
	VERSION_NUMBER=$(GRASS_VERSION_NUMBER) VERSION_DATE=$(GRASS_VERSION_DATE) MODULE_TOPDIR=$(MODULE_TOPDIR) \
	$(PYTHON) $(GISBASE)/utils/mkhtml.py $(TOOLSET) > $@ 2>/dev/null || cp $(TOOLSET).html $@

install: installsubdirs
	$(INSTALL_DATA) $(HTMLDIR)/$(TOOLSET).html $(INST_DIR)/docs/html/
	test -e $(INST_DIR)/addons_paths.json || echo '{"tree": []}' > $(INST_DIR)/addons_paths.json

else

include dev.mk

endif
