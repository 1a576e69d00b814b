experiment { titel = [[ long ]], --[==[ comment ]==] k = 'x', methods = { method { 'divf', params = { softk = 1 } } } }
