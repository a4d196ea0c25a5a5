"""Export of both halves as TFLite files. Start with `bundle_writer.write`."""
