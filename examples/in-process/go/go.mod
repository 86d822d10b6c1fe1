module inprocess

go 1.22
