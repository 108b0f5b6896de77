"""The data room: images of any source, divided into three parts that worker processes share."""
