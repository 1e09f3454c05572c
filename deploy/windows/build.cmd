@echo off
rem build.cmd [TARGET...] - builds with MSYS2's UCRT64 toolchain, into build\windows. Called by
rem quickstart.cmd and run.cmd; sets PATH for its caller, so that ctest is found.
set MSYS=C:\msys64
if not "%MSYS2_ROOT%"=="" set MSYS=%MSYS2_ROOT%
if exist "%MSYS%\usr\bin\pacman.exe" goto found
echo build.cmd: MSYS2 is not in "%MSYS%". Install it ("winget install MSYS2.MSYS2", or from
echo https://www.msys2.org), or set MSYS2_ROOT, or give --prebuilt FOLDER.
exit /b 1

:found
set PATH=%MSYS%\ucrt64\bin;%MSYS%\usr\bin;%PATH%
set UCRT=%MSYS%\ucrt64
if not exist "%UCRT%\bin\gcc.exe" goto install
if not exist "%UCRT%\bin\cmake.exe" goto install
if not exist "%UCRT%\bin\ninja.exe" goto install
if not exist "%UCRT%\include\nng\nng.h" goto install
if not exist "%UCRT%\include\msgpack.h" goto install
if not exist "%UCRT%\include\yaml.h" goto install
if not exist "%UCRT%\include\uthash.h" goto install
if not exist "%UCRT%\include\cmocka.h" goto install
goto build

:install
echo Installing MSYS2 packages ...
set U=mingw-w64-ucrt-x86_64
set TOOLS=%U%-gcc %U%-cmake %U%-ninja
set LIBRARIES=%U%-nng %U%-msgpack-c %U%-libyaml %U%-uthash %U%-cmocka
pacman -S --needed --noconfirm %TOOLS% %LIBRARIES%
if errorlevel 1 exit /b 1

:build
pushd "%~dp0..\.."
if exist build\windows\build.ninja goto configured
echo Configuring ...
cmake --preset windows-msys2
if errorlevel 1 goto failed
:configured
echo Building ...
if "%~1"=="" goto all
ninja -C build\windows %*
if errorlevel 1 goto failed
popd
exit /b 0
:all
ninja -C build\windows
if errorlevel 1 goto failed
popd
exit /b 0
:failed
popd
exit /b 1
